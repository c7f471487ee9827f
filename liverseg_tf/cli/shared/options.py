"""Options that several commands share."""

import functools
import os
from pathlib import Path

import click

from liverseg_tf.choices import ACCEPTABLE_RULES
from liverseg_tf.errors import SettingsError

FOLDER = click.Path(file_okay=False, path_type=Path)
ANY_PATH = click.Path(path_type=Path)
SEED = click.IntRange(0, 2**32 - 1)

LIVER_REGIONS = ("liver=1,2", "tumour=2")


def combine_options(*options):
    """Return one decorator that adds several options, in the order in which `--help` lists them."""

    def decorate(function):
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _parse_regions(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]):
    from liverseg_tf.ct.regions import Regions  # imports NumPy, which `--help` does not need

    try:
        return Regions.parse(value)
    except SettingsError as error:
        raise click.BadParameter(str(error)) from error


def _parse_optional_regions(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]):
    return _parse_regions(ctx, param, value) if value else None


region = click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="NAME=LABEL[,LABEL]",
    default=LIVER_REGIONS,
    callback=_parse_regions,
    help="Name of a region and the labels of the mask that belong to it. Repeatable: --region "
    "liver=1,2 --region tumour=2. List nested regions from the outside in.",
)


auxiliary = click.option(
    "--auxiliary",
    multiple=True,
    metavar="NAME=LABEL[,LABEL]",
    callback=_parse_optional_regions,
    help="Region that is learnt beside those of --region, so that it is not taken for one of them, "
    "but that the model does not predict: --auxiliary spleen=3 --auxiliary stomach=8. Repeatable.",
)


labelled = click.option(
    "--labelled",
    multiple=True,
    metavar="NAME=REGION[,REGION]",
    help="Regions that the mask of a case labels, if not all of them: 'btcv_*=liver'. What it does "
    "not label is not background, but unknown. NAME is the case or a pattern; regions are names of "
    "--region or labels. Repeatable.",
)


ignore = click.option(
    "--ignore",
    "ignored",
    type=click.IntRange(1, 255),
    metavar="LABEL",
    help="Label of voxels of which nothing is known, such as slices that nobody has drawn.",
)


labelled_slices = click.option(
    "--labelled-slices",
    "slice_list",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    show_default="labelled_slices.csv in the data set, if there is one",
    help="CSV file with the columns case and slices: the slices of each mask that somebody has "
    "labelled, counted from 0 along the third axis of its file, such as 0-5,10,20 or every=10. All "
    "others are unknown.",
)


segment = click.option(
    "--segment",
    "segments",
    multiple=True,
    metavar="REGION=NAME",
    help="Segment or ROI of a DICOM-SEG, RTSTRUCT or .seg.nrrd mask that belongs to a region, if "
    "its name is another one: 'tumour=GTV*', or by its number: 'tumour=#2'. Repeatable.",
)


channel = click.option(
    "--channel",
    type=click.IntRange(0),
    metavar="N",
    help="Volume to read from 4D images, counted from 0. In MR, each volume is one sequence.",
)


def _choose_form(ctx: click.Context, param: click.Parameter, value: bool | None) -> str | None:
    return None if value is None else "sform" if value else "qform"


form = click.option(
    "--use-sform/--use-qform",
    "form",
    default=None,
    show_default="refuse such files",
    callback=_choose_form,
    help="Geometry to use of NIfTI files whose sform and qform disagree.",
)


accept_rule = click.option(
    "--accept",
    "accepted",
    type=click.Choice(ACCEPTABLE_RULES),
    multiple=True,
    metavar="RULE",
    help="Turn the errors of a rule into warnings; `liverseg check` prints the rule in brackets. "
    f"One of {', '.join(ACCEPTABLE_RULES)}. Repeatable.",
)


json_option = click.option(
    "--json",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    help="Print JSON and nothing else on standard output, or also write JSON to FILE.",
)


def workers_options(help: str, default: int | None = None):
    """Return a decorator that adds the options --workers and --dask.

    The command receives one argument `workers`, which says where `liverseg_tf.workers.run_jobs`
    runs its jobs.

    Args:
        help: Help text of --workers.
        default: Default number of processes; None stands for the number of cores, at most 8.
    """

    def decorate(function):
        @click.option(
            "--workers",
            type=click.IntRange(1),
            metavar="N",
            default=default or (lambda: min(os.cpu_count() or 1, 8)),
            show_default=default is not None or "number of cores, at most 8",
            help=help,
        )
        @click.option(
            "--dask",
            metavar="ADDRESS",
            help="Address of a Dask scheduler (tcp://HOST:PORT). Its workers replace the local "
            "processes; they must have access to the same files.",
        )
        @functools.wraps(function)
        def with_workers(*args, workers, dask, **options):
            return function(*args, workers=_choose_workers(workers, dask), **options)

        return with_workers

    return decorate


def _choose_workers(processes: int, dask: str | None):
    """Return where jobs run; None runs them one after another in this process."""
    from liverseg_tf.cluster import DaskCluster
    from liverseg_tf.workers import Processes

    if dask is not None:
        return DaskCluster(dask)
    return Processes(processes) if processes > 1 else None
