"""Being told to end between two steps: by Ctrl-C, or by a cluster that needs the machine."""

import signal
import threading

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A run was told to end, and did so after a checkpoint."""


class Interrupt:
    """While it is open, the first SIGINT or SIGTERM is noted, and the second ends the process.

    In threads other than the main one, signals stay as they are.
    """

    def __init__(self):
        self.asked = False
        self._before: dict = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._note) for one in _SIGNALS}
        return self

    def __exit__(self, *exception) -> None:
        self._restore()

    def _note(self, number, frame) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)
        self._before = {}
