"""A DICOM node: its parts, and the order in which they start and stop."""

import logging
import time
from pathlib import Path

from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.locks import exclusive_lock
from liverseg_tf.serve.node.background import Background
from liverseg_tf.serve.node.network.listener import Listener
from liverseg_tf.serve.node.network.query import count_images
from liverseg_tf.serve.node.network.sending import Sender
from liverseg_tf.serve.node.network.tls import TlsFiles
from liverseg_tf.serve.node.queue.completeness import Completeness
from liverseg_tf.serve.node.queue.database import Database
from liverseg_tf.serve.node.queue.deliveries import Deliveries
from liverseg_tf.serve.node.queue.incoming import Incoming
from liverseg_tf.serve.node.queue.retention import Retention
from liverseg_tf.serve.node.queue.series_queue import SeriesQueue
from liverseg_tf.serve.node.settings import NodeSettings
from liverseg_tf.serve.node.status_page import StatusPage
from liverseg_tf.serve.node.worker import Segmenter, Worker

LOG = logging.getLogger("liverseg_tf.node")
_POLL_S = 0.5
_RETENTION_S = 600.0
_COMMITMENT_RETRY_S = 60.0
_STOP_S = 30.0


class Node:
    """A DICOM node that receives series, segments them and sends the results.

    Its folder holds `node.sqlite`, the queue; `incoming/`, received files; and `results/`. A file
    is on the disk and in the queue before its receipt is confirmed, so that the process may end at
    any moment: the next one goes on.

    Args:
        settings: Settings of the node.
        segmenter: What makes the results.
        tls: Files for encrypted connections.

    Example:
        >>> with Node(settings, segmenter) as node:                    # doctest: +SKIP
        ...     node.stopping.wait()
    """

    def __init__(self, settings: NodeSettings, segmenter: Segmenter, tls: TlsFiles):
        self._settings, self._segmenter, self._tls = settings, segmenter, tls
        self._background = Background()
        self.stopping = self._background.stopping

    def __enter__(self) -> "Node":
        settings, listening = self._settings, self._settings.listening
        folder = self.folder = Path(settings.folder).absolute()
        _check_own(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)  # what it holds belongs to patients
        except OSError as error:
            raise LiverSegError(
                f"Expected to write the folder {folder}. Received: {reason_of(error)}."
            ) from error
        self._lock = exclusive_lock(folder / "node.lock", f"the folder of a node, {folder}")
        self._lock.__enter__()
        try:
            self._start(folder, listening.aet)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def _start(self, folder: Path, aet: str) -> None:
        settings, background = self._settings, self._background
        self._database = Database(folder / "node.sqlite")
        self.queue, self.deliveries = SeriesQueue(self._database), Deliveries(self._database)
        destinations = settings.results.destinations
        self.deliveries.restart([str(peer) for peer in destinations], time.time())
        incoming = Incoming(folder / "incoming", self.queue, settings.free_bytes)
        server_context, client_context = self._tls.server_context(), self._tls.client_context()
        worker = Worker(
            folder,
            self.queue,
            self.deliveries,
            incoming,
            self._segmenter,
            tuple(str(peer) for peer in destinations),
            self.stopping,
        )
        peer = settings.waiting.query
        ask = None
        if peer is not None:
            ask = lambda study, series: count_images(aet, peer, client_context, study, series)  # noqa: E731
        completeness = Completeness(self.queue, settings.waiting, ask, time.time())
        self.retention = Retention(
            self._database, self.queue, incoming, worker.results_folder, settings.keep_s
        )
        self.retention.remove_unknown_results()
        self.listener = Listener(
            settings.listening, incoming, self._note_commitment, server_context
        )
        self.status_page = StatusPage(
            settings.listening, self._database, self.queue, self.listener, background
        )
        self.listener.start()

        def check_completeness() -> bool:
            incoming.record_missing()  # a series that lacks them is not complete
            return bool(completeness.check(time.time()))

        background.repeat("completeness", check_completeness, _POLL_S)
        background.repeat("worker", worker.step, _POLL_S)
        for destination in destinations:
            sender = Sender(
                aet,
                destination,
                self.deliveries,
                worker.results_folder,
                self._note_commitment,
                client_context,
            )
            background.repeat(f"sender to {destination}", sender.step, _POLL_S)
        background.repeat("retention", lambda: self.retention.step(time.time()), _RETENTION_S)
        self.status_page.start()

    def __exit__(self, *exception: object) -> None:
        """Stop listening, then let each part end after its present step."""
        self.listener.stop()
        self._background.stop(_STOP_S)
        self.status_page.stop()
        if not self._background.alive:  # otherwise a thread still needs it
            self._database.close()
        self._lock.__exit__(None, None, None)

    def _note_commitment(self, transaction: str, stored: list[str], missing: list[str]) -> None:
        again_s = time.time() + _COMMITMENT_RETRY_S
        self.deliveries.record_commitment(transaction, stored, missing, again_s)
        if missing:
            LOG.warning("%d results are not stored, and are sent again", len(missing))


def _check_own(folder: Path) -> None:
    """Refuse a folder of somebody else: a node removes files that it does not know."""
    known = {"node.lock", "node.sqlite"}
    if folder.is_dir() and not (folder / "node.sqlite").exists():
        others = sorted(path.name for path in folder.iterdir() if path.name not in known)
        if others:
            raise LiverSegError(
                f"Expected an empty folder, or that of a node, at {folder}. Received a folder with "
                f"{others[0]}: name another one."
            )
