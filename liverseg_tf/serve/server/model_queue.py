"""The order in which predictions use the models: one at a time, the background last."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from liverseg_tf.serve.server.limits import Refusal, ServerLimits

_MEAN_WEIGHT = 0.3  # of the latest prediction in the mean duration


class Preempted(Exception):
    """A prediction in the background that makes room for a request."""


class ModelQueue:
    """A lock for all models, with a bounded number of predictions that wait for it.

    Args:
        limits: Limits of the server.
    """

    def __init__(self, limits: ServerLimits):
        self._limits = limits
        self._model = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0  # requests that run or wait
        self._mean_seconds = 5.0

    @property
    def waiting(self) -> int:
        """Number of requests that predict or wait for it."""
        return self._waiting

    @contextmanager
    def turn(self) -> Iterator[Callable[[int], None]]:
        """Wait for the models and hold them.

        Yields:
            A function for `find_regions`, which ends a prediction that takes too long.

        Raises:
            Refusal: If too many predictions wait, or this one has waited or run for too long.
        """
        deadline = time.monotonic() + self._limits.seconds
        with self._counting:
            if self._waiting > self._limits.queue:
                raise self._busy()
            self._waiting += 1
        try:
            if not self._model.acquire(timeout=self._limits.seconds):
                raise self._busy()
            started = time.monotonic()
            try:
                yield lambda _: self._check(deadline)
            finally:
                seconds = time.monotonic() - started
                self._mean_seconds += _MEAN_WEIGHT * (seconds - self._mean_seconds)
                self._model.release()
        finally:
            with self._counting:
                self._waiting -= 1

    @contextmanager
    def idle_turn(self) -> Iterator[Callable[[int], None]]:
        """Hold the models while no request wants them.

        Yields:
            A function for `find_regions`, which ends the prediction when a request comes.

        Raises:
            Preempted: If a request uses the models, or comes.
        """
        if self._waiting or not self._model.acquire(blocking=False):
            raise Preempted
        try:
            yield self._give_way
        finally:
            self._model.release()

    def _give_way(self, _: int) -> None:
        if self._waiting:
            raise Preempted

    def _check(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise Refusal(
                503,
                f"Expected a prediction within {self._limits.seconds:g} s. Received one that takes "
                "longer: raise --timeout, or use a faster model or machine.",
            )

    def _busy(self) -> Refusal:
        seconds = math.ceil(max(1.0, self._waiting * self._mean_seconds))
        return Refusal(
            503,
            f"Expected at most {self._limits.queue} predictions that wait for the model. Received "
            f"one more: try again in {seconds} s.",
            seconds,
        )
