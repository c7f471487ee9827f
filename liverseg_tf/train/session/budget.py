"""How much of a run is over: by steps, or by the clock."""

import math
import time
from dataclasses import dataclass

WARM_UP = 0.03
POWER = 0.9


@dataclass(frozen=True)
class StepBudget:
    """A run of a given number of steps: nothing depends on the machine's speed."""

    steps: int

    def progress(self, step: int, reserved: float) -> float:
        """0 at the start, 1 at the end."""
        return min(1.0, step / self.steps)

    def may_validate(self, spent: float, cost: float) -> bool:
        """After every epoch."""
        return True

    def thinning(self, cost: float) -> int:
        """Every slice is validated."""
        return 1


@dataclass(frozen=True)
class ClockBudget:
    """A run of a given wall-clock time, which covers validation and saving.

    Args:
        seconds: the whole budget.
        started: `time.monotonic()` when it began.
        validation: share of the time that validation may take.
    """

    seconds: float
    started: float
    validation: float = 0.15

    def progress(self, step: int, reserved: float) -> float:
        """0 at the start, 1 when just the `reserved` seconds for the last validation are left."""
        return min(1.0, self.elapsed / max(self.seconds - reserved, 1e-3))

    def may_validate(self, spent: float, cost: float) -> bool:
        """While validation, `spent` seconds so far, stays below its share of the time so far."""
        return spent + cost < self.validation * self.elapsed

    def thinning(self, cost: float) -> int:
        """Take every n-th slice, so that the last validation keeps to its share of the budget."""
        return max(1, math.ceil(cost / (self.validation * self.seconds)))

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started


def learning_rate(peak: float, progress: float, decay: str = "cosine") -> float:
    """Linear warm-up over the first 3 %, then a fall to 0.

    Args:
        peak: the highest rate.
        progress: of the run, 0..1.
        decay: 'cosine', half a wave (Loshchilov, Hutter 2017), or 'polynomial', a power of 0.9 of
            what is left (nnU-Net).
    """
    if progress < WARM_UP:
        return peak * max(progress / WARM_UP, 0.05)
    done = (progress - WARM_UP) / (1 - WARM_UP)
    left = (1 - done) ** POWER if decay == "polynomial" else 0.5 * (1 + math.cos(math.pi * done))
    return peak * max(left, 1e-3)
