"""Sending of results to one destination: C-STORE, repeated until it succeeds, and commitment."""

import logging
import ssl
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]

from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.plural import count
from liverseg_tf.retry import RetryPolicy, Unavailable
from liverseg_tf.serve.node.network.association import associate
from liverseg_tf.serve.node.network.commitment import (
    OnCommitment,
    handle_report,
    offers_commitment,
    request_commitment,
)
from liverseg_tf.serve.node.network.peer import Peer
from liverseg_tf.serve.node.queue.deliveries import FAILED, PENDING, Deliveries, Delivery

LOG = logging.getLogger("liverseg_tf.node")
# failures without an answer are repeated for ever; refusals, which seldom pass, so often
MAX_REFUSALS = 10
BACKOFF = RetryPolicy(initial_backoff_s=2.0, max_backoff_s=600.0)
_REPORT_S = 1.0  # to wait for a report about commitment on the same association
_STORED_BEFORE = 0x0111  # a duplicate of an instance that is stored
_WARNINGS = range(0xB000, 0xC000)


class Sender:
    """Sends the results that are due to one destination.

    Args:
        aet: Title of this node.
        peer: Destination.
        deliveries: Results and deliveries of the node.
        folder: Folder of the results.
        on_commitment: Function that is called with reports about commitment; see `Listener`.
        context: Context for TLS; None does not encrypt.
    """

    def __init__(
        self,
        aet: str,
        peer: Peer,
        deliveries: Deliveries,
        folder: Path,
        on_commitment: OnCommitment,
        context: ssl.SSLContext | None = None,
    ):
        self._aet, self._peer, self._deliveries = aet, peer, deliveries
        self._folder, self._on_commitment, self._context = folder, on_commitment, context

    def step(self) -> bool:
        """Send what is due, over one association.

        Returns:
            Whether something was sent.
        """
        due = self._deliveries.due(str(self._peer), time.time())
        if not due:
            return False
        reported = threading.Event()

        def report(event: evt.Event) -> tuple[int, None]:
            answer = handle_report(event, self._on_commitment)
            reported.set()
            return answer

        classes = dict.fromkeys(delivery.result.sop_class for delivery in due)
        syntaxes: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
        contexts = [build_context(sop_class, syntaxes) for sop_class in classes]
        contexts += [build_context(StorageCommitmentPushModel)]
        try:
            with associate(
                *(self._aet, self._peer, contexts, self._context),
                ((evt.EVT_N_EVENT_REPORT, report),),
            ) as association:
                sent = [delivery for delivery in due if self._send(association, delivery)]
                for series_id, number in Counter(one.series_id for one in sent).items():
                    things = count(number, "object")
                    LOG.info("series %d: %s sent to %s", series_id, things, self._peer)
                if sent and self._ask_commitment(association, sent):
                    reported.wait(_REPORT_S)
        except Unavailable as error:
            for delivery in due:
                self._try_again(delivery, str(error))
            LOG.warning("%s; tried again in %.0f s", error, self._backoff_s(due[0]))
            return False
        return bool(sent)

    def _send(self, association: Association, delivery: Delivery) -> bool:
        """Send one result, and record what became of it."""
        result = delivery.result
        if not association.is_established:
            self._try_again(delivery, "the association was ended")
            return False
        try:
            dataset = dcmread(self._folder / result.file)
            answer = association.send_c_store(dataset)
        except (OSError, ValueError, AttributeError, RuntimeError, LiverSegError) as error:
            # no presentation context was accepted, or the file was removed
            self._refused(delivery, first_line(error))
            return False
        if "Status" not in answer:
            self._try_again(delivery, "no answer in time")
            return False
        status = answer.Status
        if status in (0x0000, _STORED_BEFORE) or status in _WARNINGS:
            self._deliveries.record_sent(delivery)
            if status:
                LOG.warning("%s stores it with the status 0x%04X", self._peer, status)
            return True
        self._refused(delivery, f"refused with the status 0x{status:04X}")
        return False

    def _ask_commitment(self, association: Association, sent: Sequence[Delivery]) -> bool:
        """Ask the destination to confirm that it stores results, if it offers that."""
        if not offers_commitment(association):
            return False
        transaction_uid = generate_uid()
        # recorded first, since the report may come at once
        self._deliveries.record_request(sent, transaction_uid)
        if not request_commitment(association, transaction_uid, [one.result for one in sent]):
            LOG.warning("%s does not confirm what it stores", self._peer)
            self._deliveries.withdraw_request(sent)
            return False
        return True

    def _refused(self, delivery: Delivery, reason: str) -> None:
        if delivery.attempts + 1 < MAX_REFUSALS:
            self._try_again(delivery, reason)
        else:
            self._deliveries.record_failure(delivery, FAILED, reason, time.time())
        LOG.warning(
            "series %d: %s is not stored by %s: %s",
            *(delivery.series_id, delivery.result.kind, self._peer, reason),
        )

    def _try_again(self, delivery: Delivery, reason: str) -> None:
        next_s = time.time() + self._backoff_s(delivery)
        self._deliveries.record_failure(delivery, PENDING, reason, next_s)

    def _backoff_s(self, delivery: Delivery) -> float:
        return BACKOFF.backoff_s(delivery.attempts)
