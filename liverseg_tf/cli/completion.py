"""`liverseg completion`: what the shell needs to complete commands and options."""

import click
from click.shell_completion import get_completion_class

from liverseg_tf.cli.shared.command import command


@command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    For bash, put this line into ~/.bashrc:

        eval "$(liverseg completion bash)"
    """
    from liverseg_tf.cli.main import liverseg

    source = get_completion_class(shell)(liverseg, {}, "liverseg", "_LIVERSEG_COMPLETE")
    click.echo(source.source())
