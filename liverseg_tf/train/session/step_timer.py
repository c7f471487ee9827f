"""Mean duration of a training step."""

import time


class StepTimer:
    """Running mean of the duration of a training step; other programs may slow some steps down.

    Attributes:
        mean_seconds: Mean duration in seconds; 0 before the second step.
    """

    def __init__(self):
        self.mean_seconds = 0.0
        self._previous: float | None = None

    def record_step(self) -> None:
        """Record the end of a step."""
        now = time.monotonic()
        if self._previous is not None:
            seconds = now - self._previous
            mean = self.mean_seconds
            self.mean_seconds = 0.8 * mean + 0.2 * seconds if mean else seconds
        self._previous = now

    def restart(self) -> None:
        """Do not count the time until the next step, such as that of a validation."""
        self._previous = None
