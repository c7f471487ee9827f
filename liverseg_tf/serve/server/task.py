"""Work in the background, in the form in which MONAI Label's clients ask for its state."""

import time
import uuid
from collections import deque
from dataclasses import dataclass, field

RUNNING, DONE, STOPPED, ERROR = "RUNNING", "DONE", "STOPPED", "ERROR"
_DETAILS = 20  # the latest lines, which are kept


@dataclass
class Task:
    """Work with a model that runs in the background, or has ended.

    Args:
        model: Name of the model.
        request: What the viewer sent.
    """

    model: str
    request: dict
    name: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = RUNNING
    started: float = field(default_factory=time.time)
    ended: float | None = None
    result: str | None = None
    details: deque[str] = field(default_factory=lambda: deque(maxlen=_DETAILS))

    def end(self, status: str, result: str) -> None:
        """Note how the work has ended; the result is also the last of the details."""
        self.details.append(result)
        self.result, self.ended = result, time.time()
        self.status = status

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


def _format_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
