"""Removal of files whose time is over: images and results do not stay in a node for ever."""

import logging
from pathlib import Path

from liverseg_tf.partials import remove
from liverseg_tf.plural import count
from liverseg_tf.serve.node.queue.database import Database
from liverseg_tf.serve.node.queue.deliveries import PENDING
from liverseg_tf.serve.node.queue.incoming import Incoming
from liverseg_tf.serve.node.queue.series import FINAL
from liverseg_tf.serve.node.queue.series_queue import SeriesQueue

LOG = logging.getLogger("liverseg_tf.node")


class Retention:
    """Removes the files of series that are done, refused or skipped for some time.

    What was received stays known by its digests, so that slices that come later are not taken for
    a whole series.

    Args:
        database: Database of the node.
        queue: Queue of the node.
        incoming: Received files.
        results: Folder of the results.
        keep_s: Seconds for which files are kept after the last image of a series.
    """

    def __init__(
        self,
        database: Database,
        queue: SeriesQueue,
        incoming: Incoming,
        results: Path,
        keep_s: float,
    ):
        self._database, self._queue, self._incoming = database, queue, incoming
        self._results, self._keep_s = results, keep_s

    def step(self, now: float) -> bool:
        """Remove the files whose time is over.

        Args:
            now: Time, in seconds since 1970.

        Returns:
            False, since there is nothing more to do at once.
        """
        for series in self._queue.in_state(*FINAL):
            if now - series.last_received < self._keep_s or self._is_pending(series.id):
                continue
            # recorded first: after the end of the process, the next start removes the files
            files, results = self._queue.forget_files(series)
            self._incoming.remove(files)
            for folder in {result.split("/")[0] for result in results}:
                remove(self._results / folder)
            if files:
                LOG.info("%s: %s removed, their time is over", series, count(len(files), "file"))
        return False

    def _is_pending(self, series_id: int) -> bool:
        rows = self._database.rows(
            "SELECT 1 FROM deliveries JOIN results ON results.id = result_id WHERE "
            "series_id = ? AND deliveries.state = ? LIMIT 1",
            *(series_id, PENDING),
        )
        return bool(rows)

    def remove_unknown_results(self) -> None:
        """Remove results that are not in the queue: they were being made when a process ended.

        No worker may run.
        """
        rows = self._database.rows("SELECT file FROM results WHERE file NOTNULL")
        known = {row["file"].split("/")[0] for row in rows}
        for folder in self._results.iterdir():
            if folder.name not in known:
                remove(folder)
