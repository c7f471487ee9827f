"""The settings of a run from the options of the commands that train."""

import click
from click.core import ParameterSource

from liverseg_tf.cli.shared.models import locate_run

_HARDWARE = ("precision", "compiled", "tensorboard", "mlflow", "cache_on_device")


def split_settings(values: dict):
    """Split the values of `train_options` into settings and hardware options.

    Args:
        values: Values by parameter name; the hardware options are removed.

    Returns:
        The `TrainSettings`, and a dictionary of precision, compiled, tensorboard, mlflow and
        cache_on_device.

    Raises:
        click.UsageError: If an option on the command line would have no effect.
        SettingsError: If a value is out of range, or settings exclude each other.
    """
    from liverseg_tf.train.settings import TrainSettings

    hardware = {name: values.pop(name) for name in _HARDWARE}
    if values["init_from"] is not None:
        values = values | {"init_from": locate_run(values["init_from"])}
    return TrainSettings(**_resolve(values)), hardware


def _resolve(values: dict) -> dict:
    """Let the command line override presets and files where one option replaces another.

    A preset or file may set --minutes, which replaces --epochs, or --context-spacing-mm, which
    needs --context. Without this, an option on the command line would be ignored.
    """
    from liverseg_tf.train.settings import ENCODER_DEPTH

    typed = _typed_options()
    resolved = dict(values)
    if "epochs" in typed and values["minutes"] is not None:
        if "minutes" in typed:
            raise click.UsageError(
                "Expected --epochs or --minutes. Received both: --minutes replaces --epochs."
            )
        resolved["minutes"] = None
    if "context" in typed and values["context"] == 1 and "context_spacing_mm" not in typed:
        resolved["context_spacing_mm"] = None
    if "depth" in typed and values["encoder"] is not None and values["depth"] != ENCODER_DEPTH:
        raise click.UsageError(
            f"Expected no --depth together with --encoder, which has {ENCODER_DEPTH} levels. "
            f"Received --depth {values['depth']}."
        )
    return resolved


def _typed_options() -> set[str]:
    """Return the names of the options that were given on the command line."""
    context = click.get_current_context(silent=True)
    if context is None:
        return set()
    source = context.get_parameter_source
    return {name for name in context.params if source(name) is ParameterSource.COMMANDLINE}
