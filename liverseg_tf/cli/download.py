"""`liverseg download`: download of public data sets."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import click

from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.options import FOLDER
from liverseg_tf.cli.shared.progress import progress
from liverseg_tf.cli.shared.terminal import say


@command("download")
@click.argument("name", required=False)
@click.argument("out", type=FOLDER, default=Path("data_cache/raw"))
@click.option("--list", "listed", is_flag=True, help="List the available data sets and exit.")
@click.option("--url", help="Address of a mirror. The checksum of the archive is still verified.")
@click.option("--keep-archive", is_flag=True, help="Keep the archive next to the data set.")
@click.option(
    "--retries",
    type=click.IntRange(0),
    metavar="N",
    default=8,
    help="Number of consecutive retries without progress before the download fails.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    default=60.0,
    help="Time after which a connection that has brought almost no data (less than 64 KiB) is "
    "considered lost, in seconds.",
)
def download(name, out, listed, url, keep_archive, retries, timeout) -> None:
    """Download a public data set.

    NAME is a task of the Medical Segmentation Decathlon (such as Task03_Liver, or liver for
    short) or a part of LiTS (lits-part1, lits-part2). The parts of LiTS come from Kaggle and need
    your own Kaggle token. The data set is extracted to its own folder in OUT (default:
    data_cache/raw).

    To resume an interrupted download, repeat the same command. Please respect the licence of the
    data, which is printed first.
    """
    from liverseg_tf.dataset.download.download_source import DownloadProgress
    from liverseg_tf.dataset.download.download_source import download as run
    from liverseg_tf.dataset.download.http_download import DOWNLOAD_RETRIES
    from liverseg_tf.dataset.download.sources import SOURCES, find_source, from_mirror

    if listed:
        for source in SOURCES.values():
            size = f"about {source.gigabytes:g} GB" if source.gigabytes else "unknown size"
            say(f"{source.name:<20}  {size:<20}  {source.licence}")
        return
    if name is None:
        raise click.UsageError("Missing the NAME of a data set. --list shows the available ones.")
    source = find_source(name)
    if url is not None:
        source = from_mirror(source, url)
    say(f"{source.name}: licence {source.licence}")
    say(f"Please cite: {source.citation}")
    try:
        with _stage_progress() as show:
            target = run(
                source,
                out,
                replace(DOWNLOAD_RETRIES, max_retries=retries),
                timeout,
                keep_archive,
                DownloadProgress(show, lambda note: say(f"Note: {note}", err=True)),
            )
    except KeyboardInterrupt:
        say("Interrupted. Repeat the command to resume.", err=True)
        raise
    folder = out / source.folder
    say(f"data set: {folder}" if target else f"{folder} already exists: nothing to do")
    if source.note:
        say(*source.note.splitlines())


@contextmanager
def _stage_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show one progress bar per stage, counted in bytes."""
    with ExitStack() as bars:
        current: tuple[str, int] | None = None
        draw: Callable[[float, str], None] | None = None
        shown = 0.0

        def show(stage: str, done: int, total: int) -> None:
            nonlocal current, shown, draw
            if draw is None or (stage, total) != current:
                bars.close()
                draw = bars.enter_context(progress(stage, max(total, 1)))
                current, shown = (stage, total), 0.0
            if done == total or time.monotonic() - shown > 0.2:  # limits the updates
                shown = time.monotonic()
                draw(done, f"{done / 1e9:.2f} of {total / 1e9:.2f} GB")

        yield show
