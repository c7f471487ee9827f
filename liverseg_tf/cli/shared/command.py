"""The base of every command: one-line errors, exit codes and misplaced options."""

import errno
import shlex

import click

from liverseg_tf.cli.shared.terminal import flush_output, print_error
from liverseg_tf.errors import LiverSegError, SettingsError, reason_of

CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}
FAILED, WRONG_USAGE = 1, 2


def command(name: str):
    """Return the decorator that turns a function into a command and shows its defaults."""
    return click.command(name, cls=Command, context_settings=CONTEXT)


class Command(click.Command):
    """A command that prints errors of files, memory and the package as one line.

    The exit code is 2 for a `SettingsError` and 1 for any other error.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            _check_position(error.option_name, words, ctx)
            raise

    def invoke(self, ctx: click.Context) -> object:
        try:
            result = super().invoke(ctx)
            flush_output()
            return result
        except LiverSegError as error:
            failure, code = str(error), WRONG_USAGE if isinstance(error, SettingsError) else FAILED
            raised: BaseException = error
        except MemoryError as error:
            failure, code, raised = "Not enough memory: close other programs.", FAILED, error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # click ends quietly: the reader of the output has gone
            place = "a file" if error.filename is None else str(error.filename)
            failure = f"Expected access to {place}. Received: {reason_of(error)}."
            code, raised = FAILED, error
        print_error(failure)
        raise click.exceptions.Exit(code) from raised


def exit_if_failed(failures: int) -> None:
    """Exit with code 1 if there are failures."""
    if failures:
        flush_output()
        raise click.exceptions.Exit(FAILED)


def _check_position(name: str, words: list[str], ctx: click.Context) -> None:
    """Raise a usage error if an unknown option is one that belongs before the command.

    Args:
        name: Option, such as "--preset".
        words: Words that follow the command.
        ctx: Context of the command.
    """
    group = ctx.parent
    if group is None:
        return
    option = next((option for option in group.command.params if name in option.opts), None)
    if option is None:
        return
    place = next(i for i, word in enumerate(words) if word.split("=")[0] == name)
    has_value = "=" in words[place] or getattr(option, "is_flag", False)
    typed = words[place : place + (1 if has_value else 2)]
    raise click.UsageError(
        f"{name} belongs before the command: "
        f"{group.info_name} {shlex.join(typed)} {ctx.info_name} ...",
        ctx,
    )
