"""Progress of a task: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from liverseg_tf.printable import printable

_LINE_SECONDS = 15.0


@contextmanager
def progress(title: str, total: float) -> Iterator[Callable[[float, str], None]]:
    """Show the progress of a long task on standard error.

    If standard error is not a terminal, a line is printed at most every 15 seconds, and one at
    the end.

    Args:
        title: Title of the task.
        total: Amount of work.

    Yields:
        The function `show(done, note)`, to be called with the amount of work that is done and
        a short note.
    """
    with _bar(title, total) if sys.stderr.isatty() else _lines(title, total) as show:
        yield show


@contextmanager
def _bar(title: str, total: float) -> Iterator[Callable[[float, str], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        # a name in brackets is no style; what is too long for a line continues on the next one
        TextColumn("{task.fields[note]}", markup=False, table_column=Column(overflow="fold")),
    )
    # lines of a redirected standard output go there, and not above the bar
    above = sys.stdout.isatty()
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=above) as bar:
        task = bar.add_task(title, total=total, note="")
        yield lambda done, note: bar.update(task, completed=done, note=printable(note))


@contextmanager
def _lines(title: str, total: float) -> Iterator[Callable[[float, str], None]]:
    started = printed = time.monotonic()
    latest: tuple[float, str] | None = None  # not printed yet

    def show(done: float, note: str) -> None:
        nonlocal printed, latest
        latest = (done, note)
        if time.monotonic() - printed >= _LINE_SECONDS:
            printed, latest = time.monotonic(), None
            _print(title, done / total, printed - started, note)

    yield show
    if latest is not None:
        _print(title, latest[0] / total, time.monotonic() - started, latest[1])


def _print(title: str, share: float, seconds: float, note: str) -> None:
    note = f", {printable(note)}" if note else ""
    print(f"{title}: {100 * share:.0f} %, {seconds:.0f} s{note}", file=sys.stderr)
