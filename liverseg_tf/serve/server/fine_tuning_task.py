"""A fine-tuning, which runs or has ended, and how long it trains."""

import time
from dataclasses import dataclass

from liverseg_tf.serve.server.limits import Refusal
from liverseg_tf.serve.server.task import Task

DEFAULT_MINUTES = 10.0
MAX_MINUTES = 24 * 60.0
MAX_STEPS = 1_000_000


@dataclass
class FineTuningTask(Task):
    """A fine-tuning.

    Args:
        minutes: Time for training.
        steps: Number of training steps; None trains until the time is over.
        best_dice: Mean Dice of the better model on the validation cases.
    """

    minutes: float = DEFAULT_MINUTES
    steps: int | None = None
    best_dice: float = 0.0

    def statistics(self) -> dict:
        """Return the progress, of which viewers make a bar: hundredths of the time as epochs."""
        end = time.time() if self.ended is None else self.ended
        done = min(99, int(100 * (end - self.started) / (60 * self.minutes)))
        progress = {"epoch": max(1, done), "total_epochs": 100, "best_metric": self.best_dice}
        ended = {} if self.ended is None else {"total_time": round(end - self.started)}
        return {**progress, "start_ts": int(self.started), **ended}


def parse_minutes(request: dict) -> float:
    """Return the time for training that a viewer asks for.

    Raises:
        Refusal: If it is not a number of minutes, or too long.
    """
    minutes = request.get("minutes", DEFAULT_MINUTES)
    is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
    if not is_number or not 0 < minutes <= MAX_MINUTES:
        raise Refusal(
            422,
            f"Expected minutes as a number above 0 and at most {MAX_MINUTES:g}. "
            "Received another value.",
        )
    return float(minutes)


def parse_steps(request: dict) -> int | None:
    """Return the number of training steps, if one is asked for.

    Raises:
        Refusal: If it is not a number of steps, or too large.
    """
    steps = request.get("steps")
    if steps is None:
        return None
    if not isinstance(steps, int) or isinstance(steps, bool) or not 0 < steps <= MAX_STEPS:
        raise Refusal(
            422,
            f"Expected steps as a whole number from 1 to {MAX_STEPS}. Received another value.",
        )
    return steps
