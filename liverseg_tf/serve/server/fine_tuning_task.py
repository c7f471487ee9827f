"""A fine-tuning in the form in which viewers ask for its state."""

import time
import uuid
from collections import deque
from dataclasses import dataclass, field

from liverseg_tf.serve.server.limits import Refusal

DEFAULT_MINUTES = 10.0
MAX_MINUTES = 24 * 60.0


@dataclass
class Task:
    """A fine-tuning, which runs or has ended.

    Args:
        model: Name of the model.
        minutes: Time for training.
        request: What the viewer sent.
    """

    model: str
    minutes: float
    request: dict
    name: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "RUNNING"
    started: float = field(default_factory=time.time)
    ended: float | None = None
    result: str | None = None
    best_dice: float = 0.0
    details: deque[str] = field(default_factory=lambda: deque(maxlen=20))

    def to_json(self) -> dict:
        """Return the entries of MONAI Label's tasks."""
        entries = {
            "id": self.name,
            "status": self.status,
            "request": self.request,
            "start_ts": _format_time(self.started),
            "details": list(self.details),
        }
        if self.ended is not None:
            entries["end_ts"] = _format_time(self.ended)
        if self.result is not None:
            entries["result"] = self.result
        return entries

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


def _format_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
