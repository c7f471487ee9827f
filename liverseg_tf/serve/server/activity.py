"""What the server has done: a log without names of patients, and figures for Prometheus."""

import hashlib
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable

from liverseg_tf.printable import printable

_LINES = 2000


class Activity:
    """The log and the figures of a server.

    Names of images often identify patients. The log contains the first digits of their hash, so
    that the lines of one image can be found by somebody who knows its name.

    Args:
        say: Function that prints a line, or None.
    """

    def __init__(self, say: Callable[[str], None] | None = None):
        self._say = say
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._predictions: defaultdict[str, float] = defaultdict(float)

    def log(self, line: str) -> None:
        """Add a line with the time."""
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {printable(line)}"
        with self._lock:
            self._lines.append(line)
        if self._say is not None:
            self._say(line)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request and log it; the route is a pattern without names."""
        with self._lock:
            self._requests[method, route, status] += 1
        self.log(f"{method} {route} {status} {1000 * seconds:.0f} ms")

    def prediction(self, model: str, seconds: float) -> None:
        """Count a prediction."""
        with self._lock:
            self._predictions[model] += 1
            self._seconds[model] += seconds

    def lines(self, count: int) -> list[str]:
        """Return the last lines of the log."""
        with self._lock:
            lines = list(self._lines)
        return lines[-count:] if count > 0 else lines

    def metrics(self, waiting: int, sessions: int) -> str:
        """Return the figures in Prometheus' text format.

        Args:
            waiting: Number of predictions that run or wait.
            sessions: Number of sessions.
        """
        lines = ["# TYPE liverseg_requests_total counter"]
        with self._lock:
            for (method, route, status), number in sorted(self._requests.items()):
                labels = f'method="{method}",route="{route}",status="{status}"'
                lines.append(f"liverseg_requests_total{{{labels}}} {number}")
            for name, figures in (
                ("predictions_total", self._predictions),
                ("prediction_seconds_total", self._seconds),
            ):
                lines.append(f"# TYPE liverseg_{name} counter")
                lines += [
                    f'liverseg_{name}{{model="{_escape(model)}"}} {value}'
                    for model, value in sorted(figures.items())
                ]
        for name, gauge in (("waiting_predictions", waiting), ("sessions", sessions)):
            lines += [f"# TYPE liverseg_{name} gauge", f"liverseg_{name} {gauge}"]
        return "\n".join(lines) + "\n"


def pseudonym(name: str) -> str:
    """Return eight hexadecimal digits that stand for the name of an image in the log."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _escape(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace('"', '\\"')
