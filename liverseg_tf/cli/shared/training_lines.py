"""The lines that a training prints while it runs."""

import math
from collections.abc import Callable

from liverseg_tf.cli.shared.terminal import say


class TrainingLines:
    """Prints the device, the precision and the speed once, and keeps the progress line.

    Args:
        precision: Precision of the computation.
        show: Function of the completed fraction and a note; see `progress`.
    """

    def __init__(self, precision: str, show: Callable[[float, str], None]):
        self._precision, self._show = precision, show
        self._is_first = True

    def report(self, now) -> None:
        """Show the `TrainingProgress` of a run."""
        if self._is_first:
            if math.isnan(now.steps_per_second) and now.fraction < 1:
                return  # the speed is known after two seconds of steps
            self._is_first = False
            say(format_device(self._precision, now.steps_per_second))
        self._show(now.fraction, format_progress(now))


def format_device(precision: str, steps_per_second: float) -> str:
    """Make the first line of a training. The Keras backend must be imported.

    Args:
        precision: Precision of the computation.
        steps_per_second: Mean speed; NaN leaves it out.
    """
    from liverseg_tf.train.learner.devices import backend_name, describe_devices

    speed = "" if math.isnan(steps_per_second) else f", {steps_per_second:.3g} steps/s"
    return f"Device: {describe_devices()}, {precision}{speed} ({backend_name()})"


def format_progress(now) -> str:
    """Make the note of the progress line: epoch, loss, and the best Dice of each region so far."""
    loss = "" if math.isnan(now.loss) else f", loss {now.loss:.3f}"
    dice = ", ".join(
        f"{name} {'-' if math.isnan(value) else format(value, '.3f')}"
        for name, value in now.best_dice.items()
    )
    return f"epoch {now.epoch}{loss}" + (f", Dice: {dice}" if dice else "")
