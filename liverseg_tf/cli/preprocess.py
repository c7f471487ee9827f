"""`liverseg preprocess`: stage 1."""

import click

from liverseg_tf.cli.shared.command import command, complain, end_with
from liverseg_tf.cli.shared.data_options import (
    dataset_options,
    find_corrected_cases,
    tile_options,
    tile_spec,
)
from liverseg_tf.cli.shared.options import FOLDER, workers_options
from liverseg_tf.cli.shared.progress import progress


@command("preprocess")
@click.argument("dataset", type=FOLDER)
@click.argument("store", type=FOLDER)
@dataset_options
@tile_options
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
@click.option(
    "--part",
    default="1/1",
    metavar="I/N",
    help="Cut the I-th of N shares of the cases: one for each array job of a cluster. They may "
    "write one STORE at the same time.",
)
@click.option("--recut", is_flag=True, help="Cut a STORE of other settings anew.")
@workers_options("Processes.")
def preprocess(dataset, store, **options) -> None:
    """Cut the CTs of DATASET into windowed 2D tiles in STORE.

    Cases that are in the store already, from unchanged files, are kept. The store records the
    split into training, validation and test patients.
    """
    from liverseg_tf.dataset.dataset_part import DatasetPart
    from liverseg_tf.tiles.preprocess import PreprocessJob
    from liverseg_tf.tiles.preprocess import preprocess as run

    target, rule = _target(store, options), _rule(options)
    cases = find_corrected_cases(dataset, options)
    intake = PreprocessJob(cases, rule, DatasetPart.parse(options["part"]), options["recut"])
    count = len(intake.part.of(intake.cases))
    with progress("preprocess", count) as show:
        ended = iter(range(1, count + 1))
        result = run(
            intake, target, options["workers"], lambda name, failure: show(next(ended), name)
        )
    for message in result.failures.values():
        complain(message)
    _note_what_is_cut_off(result.store.cases)
    _warn_of_guesses(result.store.cases)
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


def _warn_of_guesses(cases) -> None:
    guessed = [name for name, case in cases.items() if case.get("guessed_geometry")]
    if guessed:
        click.echo(
            f"Warning: {len(guessed)} cases have no geometry in their headers, 1 mm and the "
            f"orientation are guesses: {', '.join(guessed)}. --spacing-of and --orientation "
            "give them; `liverseg check` says more.",
            err=True,
        )


def _target(store, options):
    from liverseg_tf.tiles.store import TileStore

    spec = tile_spec(options)
    return TileStore(store, spec, options["storage"] + ("-gzip" if options["compress"] else ""))


def _rule(options):
    from liverseg_tf.dataset.split import SplitRule

    return SplitRule(options["val"], options["test"], options["seed"], options["patient"])
