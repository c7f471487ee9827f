"""The budget of a run, in steps or in wall-clock time, and the learning rate over its course."""

import math
import time
from dataclasses import dataclass

WARM_UP_FRACTION = 0.03
POLYNOMIAL_POWER = 0.9


@dataclass(frozen=True)
class StepBudget:
    """Budget of a number of steps. Nothing depends on the speed of the machine.

    Args:
        steps: Number of training steps of the run.
    """

    steps: int

    def completed_fraction(self, step: int, reserved_seconds: float) -> float:
        """Return 0 at the start and 1 at the end; no time is reserved."""
        return min(1.0, step / self.steps)

    def may_validate(self, spent_seconds: float, cost_seconds: float) -> bool:
        """Return True: every epoch is validated."""
        return True

    def validation_subsampling(self, cost_seconds: float) -> int:
        """Return 1: every slice is validated."""
        return 1


@dataclass(frozen=True)
class ClockBudget:
    """Budget of wall-clock time, which includes validation and saving.

    Args:
        seconds: Total time of the run.
        started: Value of `time.monotonic()` when the run began.
        validation_fraction: Fraction of the time that validation may take.
    """

    seconds: float
    started: float
    validation_fraction: float = 0.15

    def completed_fraction(self, step: int, reserved_seconds: float) -> float:
        """Return 0 at the start, and 1 when only the reserved seconds are left.

        Args:
            step: Number of completed steps.
            reserved_seconds: Time to keep for the last step, the last validation and saving.
        """
        return min(1.0, self.elapsed_seconds / max(self.seconds - reserved_seconds, 1e-3))

    def may_validate(self, spent_seconds: float, cost_seconds: float) -> bool:
        """Return whether another validation keeps to the fraction of the time so far.

        Args:
            spent_seconds: Time spent on validation so far.
            cost_seconds: Expected time of the next validation.
        """
        return spent_seconds + cost_seconds < self.validation_fraction * self.elapsed_seconds

    def validation_subsampling(self, cost_seconds: float) -> int:
        """Return n such that the last validation, on every n-th slice, fits into the budget.

        Args:
            cost_seconds: Expected time of a validation on all slices.
        """
        return max(1, math.ceil(cost_seconds / (self.validation_fraction * self.seconds)))

    @property
    def elapsed_seconds(self) -> float:
        """Time since the run began."""
        return time.monotonic() - self.started


def learning_rate(maximum: float, completed: float, decay: str = "cosine") -> float:
    """Compute the learning rate: a linear warm-up over the first 3 % of the run, then a decay.

    Args:
        maximum: Maximum learning rate.
        completed: Completed fraction of the run, 0 to 1.
        decay: 'cosine', half a period of a cosine (Loshchilov, Hutter 2017), or 'polynomial', the
            remaining fraction to the power of 0.9 (nnU-Net, Isensee et al. 2021).
    """
    if completed < WARM_UP_FRACTION:
        return maximum * max(completed / WARM_UP_FRACTION, 0.05)
    decayed = (completed - WARM_UP_FRACTION) / (1 - WARM_UP_FRACTION)
    if decay == "polynomial":
        factor = (1 - decayed) ** POLYNOMIAL_POWER
    else:
        factor = 0.5 * (1 + math.cos(math.pi * decayed))
    return maximum * max(factor, 1e-3)
