"""Work of a node that is repeated in threads until the node stops."""

import logging
import threading
from collections.abc import Callable

from liverseg_tf.errors import LiverSegError, first_line

LOG = logging.getLogger("liverseg_tf.node")
_AFTER_ERROR_S = 5.0


class Background:
    """Threads that end together.

    Attributes:
        stopping: Event that is set when the node stops.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def repeat(self, name: str, step: Callable[[], bool], pause_s: float) -> None:
        """Repeat a step in a thread; an error is logged, and the step is tried again.

        Args:
            name: Name of the thread.
            step: Function that returns whether there is more to do at once.
            pause_s: Seconds to wait if there is not.
        """

        def run() -> None:
            while not self.stopping.is_set():
                try:
                    more = step()
                except LiverSegError as error:
                    LOG.error("%s: %s", name, error)
                    self.stopping.wait(_AFTER_ERROR_S)
                    continue
                except Exception as error:  # a bug must not stop what the other threads do
                    # the message of a foreign error may contain the value of a header
                    LOG.error("%s: unexpected %s", name, type(error).__name__)
                    LOG.debug("%s", first_line(error), exc_info=True)
                    self.stopping.wait(_AFTER_ERROR_S)
                    continue
                if not more:
                    self.stopping.wait(pause_s)

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self, timeout_s: float) -> None:
        """Let all threads end after their present step.

        Args:
            timeout_s: Seconds to wait for each of them.
        """
        self.stopping.set()
        for thread in self._threads:
            thread.join(timeout_s)

    @property
    def alive(self) -> list[str]:
        """Names of the threads that have not ended."""
        return [thread.name for thread in self._threads if thread.is_alive()]

    @property
    def dead(self) -> list[str]:
        """Names of the threads that have ended although the node has not stopped."""
        return [thread.name for thread in self._threads if not thread.is_alive()]
