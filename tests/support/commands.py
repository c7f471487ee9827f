"""Running commands in the process of the tests."""

from click.testing import CliRunner, Result

from liverseg_tf.cli.main import liverseg


def run_liverseg(*arguments) -> Result:
    """Run `liverseg`; errors that are not for users are raised, so that a test shows them."""
    done = CliRunner().invoke(liverseg, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done
