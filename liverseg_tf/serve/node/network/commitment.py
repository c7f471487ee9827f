"""Storage commitment: another node confirms that it stores what it was sent."""

import logging
from collections.abc import Callable, Sequence

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from liverseg_tf.serve.node.queue.deliveries import Result

LOG = logging.getLogger("liverseg_tf.node")
# receives the UID of the request, the SOPInstanceUIDs that are stored, and those that are not
OnCommitment = Callable[[str, list[str], list[str]], None]
_INTERNAL_ERROR = 0x0110


def offers_commitment(association: Association) -> bool:
    """Return whether the node at the other end offers storage commitment."""
    accepted = {context.abstract_syntax for context in association.accepted_contexts}
    return association.is_established and StorageCommitmentPushModel in accepted


def request_commitment(
    association: Association, transaction_uid: str, results: Sequence[Result]
) -> bool:
    """Ask another node to confirm that it stores results; see `handle_report` for its answer.

    Args:
        association: Association with that node.
        transaction_uid: UID of the request.
        results: Results that it was sent.

    Returns:
        Whether it accepts the request.
    """
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = []
    for result in results:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = result.sop_class, result.sop_uid
        request.ReferencedSOPSequence.append(item)
    answer, _ = association.send_n_action(
        request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    return answer.get("Status") == 0x0000


def handle_report(event: evt.Event, on_commitment: OnCommitment) -> tuple[int, None]:
    """Answer a report about storage commitment.

    Args:
        event: N-EVENT-REPORT, on an association of either side.
        on_commitment: Function that is called with the content.

    Returns:
        Status and data set of the answer.
    """
    try:
        report = event.event_information
        stored, missing = (
            [str(item.ReferencedSOPInstanceUID) for item in report.get(keyword) or ()]
            for keyword in ("ReferencedSOPSequence", "FailedSOPSequence")
        )
        on_commitment(str(report.TransactionUID), stored, missing)
    except Exception as error:  # a hostile report must not end the listener
        LOG.warning("a report about storage commitment is refused: %s", type(error).__name__)
        return _INTERNAL_ERROR, None
    return 0x0000, None
