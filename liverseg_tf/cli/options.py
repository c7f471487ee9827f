"""Options that several commands share."""

import os
from pathlib import Path

import click

from liverseg_tf.errors import SettingsError

FOLDER = click.Path(file_okay=False, path_type=Path)
ANY_PATH = click.Path(path_type=Path)

LIVER_REGIONS = ("liver=1,2", "tumour=2")


def _parse_regions(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]):
    from liverseg_tf.ct.regions import Regions  # numpy is not for `--help`

    try:
        return Regions.parse(value)
    except SettingsError as error:
        raise click.BadParameter(str(error)) from error


region = click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="NAME=LABEL[,LABEL]",
    default=LIVER_REGIONS,
    callback=_parse_regions,
    help="What the mask's labels mean, once for each region; nested ones from the outside in.",
)


channel = click.option(
    "--channel",
    type=click.IntRange(0),
    metavar="N",
    help="Of 4D images, the volume to take, from 0 (MR: the modality).",
)


def workers_option(help: str):
    """The option --workers of a command that works on cases in processes."""
    return click.option(
        "--workers",
        type=click.IntRange(1),
        default=lambda: min(os.cpu_count() or 1, 8),
        show_default="cores, at most 8",
        help=help,
    )
