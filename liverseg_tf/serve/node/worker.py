"""The worker of a node: takes complete series from the queue and makes their results."""

import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from liverseg_tf.ct.dicom.series import DicomSeries, find_series
from liverseg_tf.errors import LiverSegError
from liverseg_tf.partials import remove
from liverseg_tf.plural import count
from liverseg_tf.serve.node.patient_words import without_patient
from liverseg_tf.serve.node.queue.deliveries import Deliveries, Result
from liverseg_tf.serve.node.queue.incoming import Incoming
from liverseg_tf.serve.node.queue.series import QUEUED, REFUSED, SKIPPED, Instance, Series
from liverseg_tf.serve.node.queue.series_queue import SeriesQueue
from liverseg_tf.serve.node.queue.uids import digest_result

LOG = logging.getLogger("liverseg_tf.node")
# A series with which the process ended so often is refused, so that others get their turn and a
# program that restarts the node does not do so for ever.
MAX_ATTEMPTS = 25
_TEMPORARY = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM}
_PAUSE_S = 30.0  # after an error that may pass


class Segmenter(Protocol):
    """What makes results of a series; see `SeriesSegmenter`."""

    made_by: str

    def make(
        self,
        series: DicomSeries,
        folder: Path,
        seed: str,
        revision: int = 1,
        on_slices: Callable[[int], None] = lambda count: None,
    ) -> list[Result]:
        """Segment a series and write the results."""


class Skipped(LiverSegError):
    """A series that is no volume, as every study has some."""


class Worker:
    """Makes the results of one series after another.

    Args:
        folder: Folder for results and temporary files.
        queue: Queue of the node.
        deliveries: Results and deliveries of the node.
        incoming: Received files.
        segmenter: What makes the results.
        destinations: Addresses to which the results are sent, as text.
        stopping: Event after which a series that is not finished is left for the next start.
    """

    def __init__(
        self,
        folder: Path,
        queue: SeriesQueue,
        deliveries: Deliveries,
        incoming: Incoming,
        segmenter: Segmenter,
        destinations: tuple[str, ...],
        stopping: threading.Event,
    ):
        self.results_folder, self._scratch = folder / "results", folder / "scratch"
        self.results_folder.mkdir(exist_ok=True)
        self._queue, self._deliveries, self._incoming = queue, deliveries, incoming
        self._segmenter, self._destinations = segmenter, destinations
        self._stopping = stopping

    def step(self) -> bool:
        """Work on the next series, if one is complete.

        Returns:
            Whether there was one.
        """
        queued = self._queue.in_state(QUEUED)
        if not queued:
            return False
        series = queued[0]
        if series.attempts >= MAX_ATTEMPTS:
            self._refuse(series, f"Work on it began {series.attempts} times without an end.")
            return True
        self._queue.begin(series)
        instances = self._queue.instances(series.id)
        started = time.monotonic()
        try:
            content, results = self._make(series, instances)
        except _Stopped:
            return False
        except Skipped as error:
            self._end(series, SKIPPED, str(error))
        except (LiverSegError, MemoryError) as error:
            if _is_temporary(error):
                LOG.error("%s: %s; it is tried again", series, error or "not enough memory")
                self._stopping.wait(_PAUSE_S)
            else:
                self._refuse(series, without_patient(str(error), self._paths(instances)))
        except Exception as error:  # a bug or a device error must not stop the other series
            # the message of a foreign error may contain the value of a header
            self._refuse(series, f"Unexpected {type(error).__name__}.")
            LOG.debug("%s", series, exc_info=True)
        else:
            places = tuple(self._destinations)
            if self._deliveries.finish(series, content, results, places, time.time()):
                LOG.info(
                    "%s done: %s in %.1f s",
                    *(series, count(len(results), "object"), time.monotonic() - started),
                )
            else:
                LOG.info("%s: further images arrived meanwhile", series)
        return True

    def _make(self, series: Series, instances: list[Instance]) -> tuple[str, list[Result]]:
        """Return the digest of the content, and the results: those that are there, or new ones."""
        uids = (series.study_uid, series.series_uid)
        digests = [one.digest for one in instances]
        content = digest_result(uids, digests, self._segmenter.made_by)
        known = self._deliveries.results(series.id, content)
        if known and all((self.results_folder / one.file).is_file() for one in known):
            LOG.info("%s is known: its results are sent again", series)
            return content, known
        if len({one.patient for one in instances if one.patient}) > 1:
            raise LiverSegError("Expected images of one patient. Received several PatientIDs.")
        with self._links(instances) as folder:
            found = _only_series(find_series(folder))
            revision = self._deliveries.revision(series.id, content)
            target = self.results_folder / content[:32]
            remove(target)  # what a process left that was killed
            return content, self._segmenter.make(found, target, content, revision, self._go_on)

    @contextmanager
    def _links(self, instances: list[Instance]):
        """Provide a folder with exactly these files, whatever arrives meanwhile."""
        remove(self._scratch)
        self._scratch.mkdir()
        try:
            for instance in instances:
                path = self._incoming.path(instance)
                if path is None:
                    raise LiverSegError(
                        "Expected all images of the series. The files of earlier ones were "
                        "removed when their time was over (--keep-hours): send the whole series."
                    )
                try:
                    os.link(path, self._scratch / path.name)
                except OSError:  # a file system without links
                    shutil.copyfile(path, self._scratch / path.name)
            yield self._scratch
        finally:
            remove(self._scratch)

    def _go_on(self, slices: int) -> None:
        if self._stopping.is_set():
            raise _Stopped

    def _paths(self, instances: list[Instance]) -> list[Path]:
        paths = (self._incoming.path(instance) for instance in instances)
        return [path for path in paths if path is not None]

    def _refuse(self, series: Series, reason: str) -> None:
        self._end(series, REFUSED, reason)

    def _end(self, series: Series, state: str, reason: str) -> None:
        if self._queue.end(series, state, reason):
            LOG.warning("%s %s: %s", series, state, reason)
        else:
            LOG.info("%s: further images arrived meanwhile", series)


class _Stopped(Exception):
    """The node stops."""


def _only_series(found: list[DicomSeries]) -> DicomSeries:
    """Return the series of a folder, if it is a volume.

    Raises:
        Skipped: If it is a localizer or a single image.
        LiverSegError: If there is not exactly one series.
    """
    if len(found) != 1:
        raise LiverSegError(f"Expected one series. Received {len(found)}.")
    series = found[0]
    if series.localizer:
        raise Skipped("A localizer, which is not segmented.")
    if series.image_count == 1 and series.uid:
        raise Skipped("A single image, which is no volume.")
    return replace(series, description="")  # free text, which errors would repeat


def _is_temporary(error: BaseException) -> bool:
    """Return whether an error may pass: a full disk, or not enough memory at the moment."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return True
        if isinstance(cause, OSError) and cause.errno in _TEMPORARY:
            return True
        cause = cause.__cause__
    return False
