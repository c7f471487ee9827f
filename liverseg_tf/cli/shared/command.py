"""How every command ends: errors become one line and an exit code."""

import sys

import click

from liverseg_tf.errors import LiverSegError, SettingsError

FAILED, WRONG_USAGE = 1, 2


class StageCommand(click.Command):
    """A command whose `LiverSegError`s are printed as one line: exit code 1, or 2 for settings."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except LiverSegError as error:
            code = WRONG_USAGE if isinstance(error, SettingsError) else FAILED
            complain(str(error))
            raise click.exceptions.Exit(code) from error


def complain(message: str) -> None:
    """One line on standard error, marked as an error."""
    click.echo(click.style("Error: ", fg="red") + " ".join(message.split()), err=True)


def end_with(failures: int) -> None:
    """Leave with exit code 1 when some cases failed."""
    if failures:
        sys.stdout.flush()
        raise click.exceptions.Exit(FAILED)


def command(name: str):
    """`click.command` of a stage, with its defaults shown."""
    return click.command(name, cls=StageCommand, context_settings=CONTEXT)


CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}
