"""How long to bear with a server that is away."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from liverseg_tf.errors import LiverSegError

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for what.

    Args:
        connect_s: for the first contact, and for each connection.
        request_s: for one answer.
        outage_s: while a server that was there is away.
        wait_s: about as long before the first retry; it doubles each time, up to 5 s.
    """

    connect_s: float = 10.0
    request_s: float = 60.0
    outage_s: float = 60.0
    wait_s: float = 0.25
    longest_wait_s: float = 5.0


class Unavailable(Exception):
    """A server that is away, which may change; its text ends the sentence 'Received'."""


class Retries:
    """Tries again while a server is away, and gives up once for all of its requests.

    A server that was given up gets a single attempt from each later request, until one succeeds:
    a folder of a hundred volumes doesn't wait a hundred times for a server that is gone.

    Args:
        patience: with the server.
        outage_s: how long it may be away.
    """

    def __init__(self, patience: RetryPolicy, outage_s: float):
        self._patience, self._outage_s = patience, outage_s
        self._away_since: float | None = None
        self._lock = threading.Lock()
        self.failures = 0  # attempts that met no server, ever

    def call(self, attempt: Callable[[], T], abandoned: threading.Event | None = None) -> T:
        """What an attempt returns, which may be made several times.

        Args:
            attempt: raises `Unavailable` to be made again.
            abandoned: once set, there are no further attempts.

        Raises:
            LiverSegError: when the server has been away, or this request in vain, for too long.
        """
        abandoned = abandoned or threading.Event()
        tries, started = 0, None
        while True:
            try:
                result = attempt()
            except Unavailable as reason:
                now = time.monotonic()
                started = now if started is None else started
                left = self._failed(now, started)
                tries += 1
                if left <= 0 or abandoned.is_set():
                    times = f" ({tries} attempts)" if tries > 1 else ""
                    raise LiverSegError(f"{reason}{times}") from reason
                wait = self._patience.wait_s * 2 ** min(tries - 1, 20)
                wait = min(wait, self._patience.longest_wait_s) * random.uniform(0.5, 1)
                abandoned.wait(min(wait, left))
            else:
                self._away_since = None
                return result

    def _failed(self, now: float, started: float) -> float:
        """Seconds that are left for further attempts."""
        with self._lock:
            self.failures += 1
            since = self._away_since = now if self._away_since is None else self._away_since
        return min(since, started) + self._outage_s - now
