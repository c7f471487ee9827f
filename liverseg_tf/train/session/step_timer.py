"""Mean duration of a training step."""

import math
import time

_SETTLED_SECONDS = 2.0  # of measured steps, from which the mean speed says something


class StepTimer:
    """Running mean of the duration of a training step; other programs may slow some steps down.

    Attributes:
        mean_seconds: Mean duration in seconds; 0 before the second step.
    """

    def __init__(self):
        self.mean_seconds = 0.0
        self._previous: float | None = None
        self._steps, self._seconds = 0, 0.0

    def record_step(self) -> None:
        """Record the end of a step."""
        now = time.monotonic()
        if self._previous is not None:
            seconds = now - self._previous
            mean = self.mean_seconds
            self._steps, self._seconds = self._steps + 1, self._seconds + seconds
            self.mean_seconds = 0.8 * mean + 0.2 * seconds if mean else seconds
        self._previous = now

    def steps_per_second(self, is_last: bool = False) -> float:
        """Return the mean speed over all steps; NaN while too few are measured.

        Args:
            is_last: Whether no further step follows, so that any measurement is returned.
        """
        if not self._seconds or not (is_last or self._seconds >= _SETTLED_SECONDS):
            return math.nan
        return self._steps / self._seconds

    def restart(self) -> None:
        """Do not count the time until the next step, such as that of a validation."""
        self._previous = None
