"""The options of post-processing, in the order in which `--help` lists them."""

import click

from liverseg_tf.cli.shared.options import combine_options


def _option(flag: str, *values: str, help: str):
    """Return the option of a post-processing step, which takes a region and further values."""
    types = (str, *(float if value in ("P", "ML", "MM") else str for value in values))
    return click.option(
        flag,
        multiple=True,
        type=types if values else str,
        metavar=" ".join(("REGION", *values)),
        help=f"{help} Repeatable.",
    )


postprocessing_options = combine_options(
    _option(
        "--threshold",
        "P",
        help="Probability above which a voxel belongs to the region; 0.5 if not set.",
    ),
    _option(
        "--inside",
        "OUTER",
        "MM",
        help="Keep the region only inside the region OUTER or at most MM mm from it.",
    ),
    _option(
        "--smooth-z",
        help="Keep or fill a voxel if at least two of three neighbouring slices contain it.",
    ),
    _option(
        "--min-mean-probability",
        "P",
        help="Remove connected components with a mean probability below P.",
    ),
    _option(
        "--min-peak-probability",
        "P",
        help="Remove connected components whose largest probability is below P.",
    ),
    _option("--min-volume", "ML", help="Remove connected components smaller than ML millilitres."),
    _option("--largest", help="Keep only the largest connected component."),
    _option("--fill-2d", help="Fill holes within each slice."),
    _option("--fill-3d", help="Fill holes that are closed on all sides in 3D."),
)


def parse_steps(settings):
    """Return the post-processing of the options; see `PostProcessing`.

    Args:
        settings: Values of the options by their name.
    """
    from liverseg_tf.model.postprocessing import PostProcessing

    return PostProcessing(
        inside=settings["inside"],
        smooth_z=settings["smooth_z"],
        min_mean_probability=settings["min_mean_probability"],
        min_peak_probability=settings["min_peak_probability"],
        min_volume_ml=settings["min_volume"],
        largest=settings["largest"],
        fill_2d=settings["fill_2d"],
        fill_3d=settings["fill_3d"],
        threshold=settings["threshold"],
    )
