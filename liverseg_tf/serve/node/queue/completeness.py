"""When is a series complete? After a quiet period, and when no image of it is missing.

The end of an association says nothing: some archives open one for each slice, and others split a
study over several.
"""

import logging
from collections.abc import Callable

from liverseg_tf.plural import count
from liverseg_tf.retry import Unavailable
from liverseg_tf.serve.node.queue.series import RECEIVING, REFUSED, Series
from liverseg_tf.serve.node.queue.series_queue import SeriesQueue
from liverseg_tf.serve.node.settings import Waiting

LOG = logging.getLogger("liverseg_tf.node")


class Completeness:
    """Queues the series that are complete.

    Args:
        queue: Queue of the node.
        settings: When a series is complete.
        count_images: Function that asks another node for the number of images of a series, given
            the StudyInstanceUID and the SeriesInstanceUID. It returns None if that node does not
            know, and raises `Unavailable` if it does not answer. None asks nobody.
        started: Time at which the node started to listen, in seconds since 1970. Quiet periods
            begin then at the earliest: before, nothing could arrive.
    """

    def __init__(
        self,
        queue: SeriesQueue,
        settings: Waiting,
        count_images: Callable[[str, str], int | None] | None = None,
        started: float = 0.0,
    ):
        self._started = started
        self._queue, self._settings, self._count_images = queue, settings, count_images
        self._next_question: dict[tuple[int, int], float] = {}
        self._silent_until = 0.0  # the other node did not answer

    def check(self, now: float) -> list[Series]:
        """Look at each series of which images were received.

        Args:
            now: Time, in seconds since 1970.

        Returns:
            Series that are queued now.
        """
        waiting = self._queue.in_state(RECEIVING)
        known = {(series.id, series.changes) for series in waiting}
        self._next_question = {key: at for key, at in self._next_question.items() if key in known}
        return [
            series
            for series in waiting
            if self._is_complete(series, now) and self._queue.complete(series)
        ]

    def _is_complete(self, series: Series, now: float) -> bool:
        # the clock of the machine may have been set back
        quiet_s = now - min(max(series.last_received, self._started), now)
        if quiet_s < self._settings.quiet_s:
            return False
        if series.missing:
            if quiet_s >= self._settings.give_up_s:
                self._give_up(series, series.images + series.missing)
            return False
        if self._count_images is None:
            return True
        key = (series.id, series.changes)
        if now < max(self._next_question.get(key, 0.0), self._silent_until):
            return False
        self._next_question[key] = now + max(self._settings.quiet_s, 1.0)
        given_up = quiet_s >= self._settings.give_up_s
        try:
            expected = self._count_images(series.study_uid, series.series_uid)
        except Unavailable as error:
            self._silent_until = now + max(self._settings.quiet_s, 1.0)
            LOG.warning("%s: %s", series, error)
            if given_up:
                LOG.warning(
                    "%s is taken as complete with %s: nobody could be asked",
                    *(series, count(series.images, "image")),
                )
            return given_up
        if expected is None or series.images >= expected:
            return True
        if given_up:
            self._give_up(series, expected)
        return False

    def _give_up(self, series: Series, expected: int) -> None:
        reason = (
            f"Expected {count(expected, 'image')}. Received {series.images} of them, and none "
            f"for {self._settings.give_up_s:.0f} s: send the others."
        )
        if self._queue.end(series, REFUSED, reason):
            LOG.warning("%s refused: %s", series, reason)
