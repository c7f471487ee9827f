"""A request to stop between two steps: Ctrl-C, or SIGTERM from a cluster's scheduler."""

import signal
import threading

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A run was interrupted and has written a checkpoint."""


class Interrupt:
    """Context in which the first SIGINT or SIGTERM is recorded and a second one ends the process.

    In threads other than the main thread, signals are handled as before.

    Attributes:
        requested: Whether a signal was received.
    """

    def __init__(self):
        self.requested = False
        self._previous_handlers: dict = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._previous_handlers = {
                number: signal.signal(number, self._record) for number in _SIGNALS
            }
        return self

    def __exit__(self, *exception) -> None:
        self._restore()

    def _record(self, number, frame) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        self._previous_handlers = {}
