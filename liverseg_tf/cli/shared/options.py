"""Options that several commands share."""

import functools
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


def workers_options(help: str, default: int | None = None):
    """The options --workers and --dask of a command that works on cases side by side.

    The command gets one `workers`: where `liverseg_tf.workers.run_each` runs its jobs. By default
    there are `default` processes.
    """

    def decorate(function):
        @click.option(
            "--workers",
            type=click.IntRange(1),
            default=default or (lambda: min(os.cpu_count() or 1, 8)),
            show_default=default is not None or "cores, at most 8",
            help=help,
        )
        @click.option(
            "--dask",
            metavar="ADDRESS",
            help="Run on the workers of this Dask scheduler (tcp://HOST:PORT) instead, which see "
            "the same files.",
        )
        @functools.wraps(function)
        def with_workers(*args, workers, dask, **options):
            return function(*args, workers=_workers(workers, dask), **options)

        return with_workers

    return decorate


def _workers(count: int, dask: str | None):
    """None where the cases go one by one, which needs no other process."""
    from liverseg_tf.cluster import DaskCluster
    from liverseg_tf.workers import Processes

    if dask is not None:
        return DaskCluster(dask)
    return Processes(count) if count > 1 else None
