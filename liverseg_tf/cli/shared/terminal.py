"""Output on the terminal: lines that are safe to show, and an error if they cannot be written."""

import errno
import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.plural import name_some
from liverseg_tf.printable import printable

_LISTED = 10  # names of cases in one line


def say(*lines: object, err: bool = False) -> None:
    """Print lines, in which control characters of foreign names are visible.

    Args:
        lines: Texts, each of which is one line.
        err: Whether they go to standard error instead of standard output.

    Raises:
        LiverSegError: If standard output cannot be written, for example on a full disk.
    """
    text = "\n".join(map(printable, lines))
    # `file` lets a progress bar show the lines above itself, where click's own streams disturb it
    if err:
        click.echo(text, file=sys.stderr)
    else:
        with writing_output():
            click.echo(text, file=sys.stdout)


def say_warnings(warnings: Mapping[str, Iterable[str]]) -> None:
    """Print warnings on standard error, each of them once, with the cases that it concerns.

    Args:
        warnings: One line each, by case name.
    """
    cases: dict[str, list[str]] = {}
    for name, lines in warnings.items():
        for line in lines:
            cases.setdefault(line, []).append(name)
    for line, names in cases.items():
        noun = "case" if len(names) == 1 else "cases"
        say(f"Warning: {line} ({noun} {name_some(names, _LISTED)})", err=True)


def say_json(value: object) -> None:
    """Print a value as indented JSON, in which every character outside of ASCII is escaped.

    Raises:
        LiverSegError: If standard output cannot be written.
    """
    with writing_output():
        click.echo(json.dumps(value, indent=2, allow_nan=False))


def write_results(results: object, path: Path) -> None:
    """Write results as JSON to a file, or print them if the path is "-"; NaN becomes null.

    Raises:
        LiverSegError: If the file or standard output cannot be written.
    """
    from liverseg_tf.atomic import nan_to_none, write_json  # `--help` does not need it

    if str(path) == "-":
        say_json(nan_to_none(results))
    else:
        write_json(path, results)


def say_table(table: object, err: bool = False) -> None:
    """Print a table of rich.

    Raises:
        LiverSegError: If standard output cannot be written.
    """
    from rich.console import Console  # `--help` does not need it

    with writing_output():
        # a name in brackets is neither a style nor an emoji
        Console(stderr=err, markup=False, emoji=False, highlight=False).print(table)


def print_warning(message: str) -> None:
    """Print a message on standard error as one line that begins with "Warning:", in red."""
    text = printable(" ".join(message.split()))
    with suppress(OSError):  # the exit code tells only failures
        click.echo(click.style(f"Warning: {text}", fg="red", bold=True), err=True)


def print_error(message: str) -> None:
    """Print a message on standard error as one line that begins with "Error:"."""
    text = printable(" ".join(message.split()))
    with suppress(OSError):  # the exit code says it, too
        click.echo(click.style("Error: ", fg="red") + text, err=True)


@contextmanager
def writing_output():
    """Turn an error of standard output into a `LiverSegError`; a closed pipe is left to click.

    Characters that the terminal cannot show are escaped.

    Raises:
        LiverSegError: If standard output cannot be written.
    """
    with suppress(AttributeError):  # where standard output was replaced by another object
        # names in Chinese, for example, on a terminal of Western Europe
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        _discard_output()
        raise LiverSegError(
            "Expected to write the results to standard output. "
            f"Received: {reason_of(error)}. What was printed is incomplete."
        ) from error


@contextmanager
def printable_usage_errors():
    """Make control characters in click's own messages visible, and report a broken output."""
    try:
        with writing_output():
            yield
    except click.ClickException as error:
        vars(error)["message"] = printable(error.message)  # click declares it as final
        raise
    except LiverSegError as error:
        print_error(str(error))
        raise click.exceptions.Exit(1) from error


def flush_output() -> None:
    """Write what standard output still holds.

    Raises:
        LiverSegError: If it cannot be written.
    """
    with writing_output():
        sys.stdout.flush()


def _discard_output() -> None:
    """Let the interpreter's own flush at its end succeed."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
