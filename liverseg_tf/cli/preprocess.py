"""`liverseg preprocess`: stage 1."""

import click

from liverseg_tf.cli.command import command, complain, end_with
from liverseg_tf.cli.options import FOLDER, workers_option
from liverseg_tf.cli.progress import progress


@command("preprocess")
@click.argument("dataset", type=FOLDER)
@click.argument("store", type=FOLDER)
@click.option(
    "--layout",
    type=click.Choice(["msd", "lits", "folder", "dicom"]),
    help="msd: dataset.json; lits: volume-N.nii and segmentation-N.nii; folder: images/ and "
    "masks/ with equal names; dicom: a tree of DICOM series, and masks/.  [default: found out]",
)
@click.option(
    "--window",
    "windows",
    type=(float, float),
    multiple=True,
    default=[(25, 450)],
    metavar="LEVEL WIDTH",
    help="HU window, level and width; several become channels.",
)
@click.option(
    "--percentiles",
    type=(float, float),
    metavar="LOWER UPPER",
    help="For MR instead of a window: range between two percentiles of each volume.",
)
@click.option(
    "--spacing", default="1.5", metavar="MM|native", help="In-plane spacing of the tiles, in mm."
)
@click.option(
    "--tile",
    metavar="N|ROWSxCOLS|whole",
    help="Shape of a tile in pixels, cut around the body; 'whole' keeps whole slices.  "
    "[default: 256; with --spacing native: whole]",
)
@click.option(
    "--storage", type=click.Choice(["hdf5", "png"]), default="hdf5", help="Format of the tiles."
)
@click.option("--compress", is_flag=True, help="gzip the HDF5 tiles: smaller, slower to read.")
@click.option(
    "--val", type=float, default=0.15, help="Share of the patients for validation, 0 to 1."
)
@click.option("--test", type=float, default=0.15, help="Share of the patients for the test.")
@click.option("--seed", type=int, default=0, help="Of the split.")
@click.option(
    "--patient",
    metavar="REGEX",
    help="Which part of a case's name is the patient.  [default: the whole name]",
)
@workers_option("Processes.")
def preprocess(dataset, store, layout, **options) -> None:
    """Cut the CTs of DATASET into windowed 2D tiles in STORE.

    Cases that are in the store already, from unchanged files, are kept. The store records the
    split into training, validation and test patients.
    """
    from liverseg_tf.dataset.cases import find_cases
    from liverseg_tf.tiles.preprocess import preprocess as run

    target, rule = _target(store, options), _rule(options)
    cases = find_cases(dataset, layout)
    with progress("preprocess", len(cases)) as show:
        ended = iter(range(1, len(cases) + 1))
        result = run(
            cases,
            target,
            rule,
            options["workers"],
            lambda name, failure: show(next(ended), name),
        )
    for message in result.failures.values():
        complain(message)
    _note_what_is_cut_off(result.store.cases)
    split = result.store.split
    click.echo(
        f"{len(result.cut)} cases cut, {len(result.kept)} kept, {len(result.failures)} failed; "
        f"{len(split['train'])} train, {len(split['val'])} val, {len(split['test'])} test; "
        f"store: {store}"
    )
    end_with(len(result.failures))


def _note_what_is_cut_off(cases) -> None:
    cut = {name: case["labelled_outside"] for name, case in cases.items()}
    worst = max(cut, key=cut.get, default=None)
    if worst is not None and cut[worst] > 0:
        click.echo(
            f"Note: tiles cut off labelled voxels of {sum(map(bool, cut.values()))} cases, most of "
            f"{worst} ({100 * cut[worst]:.1f} %): a larger --tile or --spacing keeps them.",
            err=True,
        )


def _target(store, options):
    from liverseg_tf.ct.intensity import PercentileRange, Window
    from liverseg_tf.tiles.spec import TileSpec
    from liverseg_tf.tiles.store import TileStore

    if options["compress"] and options["storage"] == "png":
        raise click.UsageError("Expected --compress with HDF5 tiles. Received --storage png.")
    percentiles = options["percentiles"]
    spec = TileSpec(
        windows=tuple(Window(*window) for window in options["windows"]),
        percentiles=None if percentiles is None else PercentileRange(*percentiles),
        spacing_mm=_spacing(options["spacing"]),
        tile_shape=_shape(options["tile"] or ("256", "whole")[options["spacing"] == "native"]),
    )
    return TileStore(store, spec, options["storage"] + ("-gzip" if options["compress"] else ""))


def _rule(options):
    from liverseg_tf.dataset.split import SplitRule

    return SplitRule(options["val"], options["test"], options["seed"], options["patient"])


def _spacing(text: str) -> float | None:
    try:
        return None if text == "native" else float(text)
    except ValueError:
        raise click.UsageError(
            f"Expected --spacing in mm or 'native'. Received {text!r}."
        ) from None


def _shape(text: str) -> tuple[int, int] | None:
    try:
        lengths = [int(length) for length in str(text).split("x")]
    except ValueError:
        lengths = []
    if text != "whole" and not 1 <= len(lengths) <= 2:
        raise click.UsageError(f"Expected --tile as 256, 256x320 or 'whole'. Received {text!r}.")
    return None if text == "whole" else (lengths[0], lengths[-1])
