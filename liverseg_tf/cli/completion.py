"""`liverseg completion`: the script that completes commands and options in a shell."""

import click
from click.shell_completion import get_completion_class

from liverseg_tf.cli.shared.command import command


@command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that enables completion in a shell.

    For bash, add this line to ~/.bashrc:

        eval "$(liverseg completion bash)"
    """
    from liverseg_tf.cli.main import liverseg

    completion_class = get_completion_class(shell)
    assert completion_class is not None, "click has a class for each choice"
    script = completion_class(liverseg, {}, "liverseg", "_LIVERSEG_COMPLETE").source()
    click.echo(script)
