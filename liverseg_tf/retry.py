"""Repeated attempts at a server that is unavailable."""

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """When to repeat a failed attempt (exponential backoff), and when to give up.

    Args:
        max_retries: Maximum number of retries in a row.
        deadline_s: Seconds after the first failure after which no attempt is repeated.
        initial_backoff_s: Seconds to wait before the first retry. The wait doubles each time.
        max_backoff_s: Maximum wait, in seconds.
        jitter: Fraction of a wait, from 0 to 1, by which it may be shortened at random.
    """

    max_retries: float = math.inf
    deadline_s: float = 60.0
    initial_backoff_s: float = 0.25
    max_backoff_s: float = 5.0
    jitter: float = 0.5

    def backoff_s(self, retries: int) -> float:
        """Seconds to wait before the next attempt, after a number of retries."""
        wait_s = min(self.initial_backoff_s * 2 ** min(retries, 20), self.max_backoff_s)
        return wait_s * random.uniform(1 - self.jitter, 1)


class Unavailable(LiverSegError):
    """An attempt that failed, but may succeed when it is repeated."""


class Retries:
    """Repeats attempts as a policy says, in any number of threads.

    All threads share the deadline. Once it has passed, each call makes a single attempt until one
    succeeds: a folder of a hundred volumes does not wait a hundred times for a server that is gone.

    Args:
        policy: Backoff and limits.
    """

    def __init__(self, policy: RetryPolicy):
        self._policy = policy
        self._unavailable_since: float | None = None
        self._lock = threading.Lock()
        self.failures = 0  # failed attempts of all calls

    def call(
        self,
        attempt: Callable[[], T],
        cancelled: threading.Event | None = None,
        has_progressed: Callable[[], bool] = lambda: False,
    ) -> T:
        """Call a function until it succeeds.

        Args:
            attempt: Function to call. It raises `Unavailable` if another attempt may succeed.
            cancelled: Event that prevents further attempts.
            has_progressed: Function that tells after a failure whether the attempt achieved a
                part of the work. Retries are then counted from 0 again.

        Returns:
            The value that `attempt` returned.

        Raises:
            Unavailable: If the policy allows no further attempt.
        """
        cancelled = cancelled or threading.Event()
        retries, failing_since = 0, None
        while True:
            try:
                result = attempt()
            except Unavailable as error:
                now = time.monotonic()
                failing_since = now if failing_since is None else failing_since
                left_s = self._record_failure(now, failing_since)
                if has_progressed():
                    retries = 0
                if retries >= self._policy.max_retries or left_s <= 0 or cancelled.is_set():
                    if not retries:
                        raise
                    times = count(retries, "retry", "retries")
                    raise Unavailable(f"{error}, after {times}") from error
                cancelled.wait(min(self._policy.backoff_s(retries), left_s))
                retries += 1
            else:
                self._unavailable_since = None
                return result

    def _record_failure(self, now: float, failing_since: float) -> float:
        """Count a failure; return the seconds that are left for further attempts."""
        with self._lock:
            self.failures += 1
            if self._unavailable_since is None:
                self._unavailable_since = now
            since = self._unavailable_since
        return min(since, failing_since) + self._policy.deadline_s - now
