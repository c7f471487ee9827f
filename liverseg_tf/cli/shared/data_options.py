"""Options of the commands that read a data set and know what its tiles will be."""

import click

from liverseg_tf.cli.shared.options import channel


def _together(*options):
    """One decorator of several, in the order in which `--help` lists them."""

    def decorate(function):
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


dataset_options = _together(
    click.option(
        "--layout",
        type=click.Choice(["msd", "lits", "folder", "dicom"]),
        help="msd: dataset.json; lits: volume-N.nii and segmentation-N.nii; folder: images/ and "
        "masks/ with equal names; dicom: a tree of DICOM series, and masks/.  "
        "[default: found out]",
    ),
    click.option(
        "--orientation",
        "orientations",
        multiple=True,
        metavar="NAME=LPS",
        help="Where a case's voxel axes run to, whatever its header says. NAME may be a pattern: "
        "'volume-2[89]=LPS'. Its mask is taken to lie on the same voxels.",
    ),
    click.option(
        "--spacing-of",
        "spacings",
        multiple=True,
        metavar="NAME=I,J,K",
        help="A case's spacing along its voxel axes in mm, whatever its header says.",
    ),
    click.option(
        "--same-voxels",
        multiple=True,
        metavar="NAME",
        help="Cases whose mask lies on the image's voxels, whatever its header says.",
    ),
    channel,
)

tile_options = _together(
    click.option(
        "--window",
        "windows",
        type=(float, float),
        multiple=True,
        default=[(25, 450)],
        metavar="LEVEL WIDTH",
        help="HU window, level and width; several become channels.",
    ),
    click.option(
        "--percentiles",
        type=(float, float),
        metavar="LOWER UPPER",
        help="For MR instead of a window: range between two percentiles of each volume.",
    ),
    click.option(
        "--spacing",
        default="1.5",
        metavar="MM|native",
        help="In-plane spacing of the tiles, in mm.",
    ),
    click.option(
        "--tile",
        metavar="N|ROWSxCOLS|whole",
        help="Shape of a tile in pixels, cut around the body; 'whole' keeps whole slices.  "
        "[default: 256; with --spacing native: whole]",
    ),
    click.option(
        "--storage", type=click.Choice(["hdf5", "png"]), default="hdf5", help="Format of the tiles."
    ),
    click.option("--compress", is_flag=True, help="gzip the HDF5 tiles: smaller, slower to read."),
)


def find_corrected_cases(dataset, options):
    """The cases of a data set, with the corrections of `dataset_options`."""
    from liverseg_tf.dataset.case_corrections import Corrections
    from liverseg_tf.dataset.cases import list_cases

    corrections = Corrections(options["orientations"], options["spacings"], options["same_voxels"])
    return corrections.apply(list_cases(dataset, options["layout"]))


def tile_spec(options):
    """The `TileSpec` of `tile_options` and `--channel`."""
    from liverseg_tf.ct.intensity import PercentileRange, Window
    from liverseg_tf.tiles.spec import TileSpec

    if options["compress"] and options["storage"] == "png":
        raise click.UsageError("Expected --compress with HDF5 tiles. Received --storage png.")
    percentiles = options["percentiles"]
    return TileSpec(
        windows=tuple(Window(*window) for window in options["windows"]),
        percentiles=None if percentiles is None else PercentileRange(*percentiles),
        spacing_mm=_spacing(options["spacing"]),
        tile_shape=_shape(options["tile"] or ("256", "whole")[options["spacing"] == "native"]),
        channel=options["channel"],
    )


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
