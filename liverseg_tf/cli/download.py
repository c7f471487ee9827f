"""`liverseg download`: public data sets."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.options import FOLDER
from liverseg_tf.cli.shared.progress import progress


@command("download")
@click.argument("name", required=False)
@click.argument("out", type=FOLDER, default=Path("data_cache/raw"))
@click.option("--list", "listed", is_flag=True, help="Show what there is, and end.")
@click.option("--url", help="Of a mirror; the archive is checked all the same.")
@click.option("--keep-archive", is_flag=True, help="Keep the archive beside the data set.")
@click.option(
    "--retries",
    type=click.IntRange(0),
    default=8,
    help="Attempts in a row that may bring nothing new.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    help="Seconds of silence after which a connection counts as cut.",
)
def download(name, out, listed, url, keep_archive, retries, timeout) -> None:
    """Get the data set NAME into a folder of its own in OUT (data_cache/raw).

    A task of the Medical Segmentation Decathlon (Task03_Liver, or just liver), or lits-part1 and
    lits-part2 from Kaggle with your own token. An interrupted download is resumed by the same
    command. The data belong to their authors: mind the licence that is shown.
    """
    from liverseg_tf.dataset.download.download_source import DownloadProgress
    from liverseg_tf.dataset.download.download_source import download as run
    from liverseg_tf.dataset.download.http_download import RetryPolicy
    from liverseg_tf.dataset.download.sources import SOURCES, find_source, mirror

    if listed:
        for source in SOURCES.values():
            size = f"about {source.gigabytes:g} GB" if source.gigabytes else "size: ask the server"
            click.echo(f"{source.name:<20}  {size:<20}  {source.licence}")
        return
    if name is None:
        raise click.UsageError(
            "Expected the NAME of a data set (--list shows them). Received none."
        )
    source = find_source(name)
    if url is not None:
        source = mirror(source, url)
    click.echo(f"{source.name}: licence {source.licence}")
    click.echo(f"Please cite: {source.citation}")
    try:
        with _stages() as show:
            target = run(
                source,
                out,
                RetryPolicy(retries=retries, silence_s=timeout),
                keep_archive,
                DownloadProgress(show, lambda note: click.echo(f"Note: {note}", err=True)),
            )
    except KeyboardInterrupt:
        click.echo("Interrupted: the same command resumes.", err=True)
        raise
    where = out / source.folder
    click.echo(f"data set: {where}" if target else f"{where} is there already: nothing was done")
    if source.note:
        click.echo(source.note)


@contextmanager
def _stages() -> Iterator[Callable[[str, int, int], None]]:
    """One progress bar after another, each for a stage's bytes."""
    with ExitStack() as bars:
        current, shown, draw = None, 0.0, None

        def show(stage: str, done: int, total: int) -> None:
            nonlocal current, shown, draw
            if (stage, total) != current:
                bars.close()
                draw = bars.enter_context(progress(stage, max(total, 1)))
                current, shown = (stage, total), 0.0
            if done == total or time.monotonic() - shown > 0.2:  # a server may send many small bits
                shown = time.monotonic()
                draw(done, f"{done / 1e9:.2f} of {total / 1e9:.2f} GB")

        yield show
