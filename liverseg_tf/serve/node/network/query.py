"""C-FIND: how many images does another node have of a series?"""

import ssl

from pydicom.dataset import Dataset
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
)

from liverseg_tf.retry import Unavailable
from liverseg_tf.serve.node.network.association import associate
from liverseg_tf.serve.node.network.peer import Peer

_PENDING = (0xFF00, 0xFF01)


def count_images(
    aet: str, peer: Peer, tls: ssl.SSLContext | None, study_uid: str, series_uid: str
) -> int | None:
    """Ask another node for the NumberOfSeriesRelatedInstances of a series.

    Args:
        aet: Title of this node.
        peer: Other node.
        tls: Context for TLS; None does not encrypt.
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.

    Returns:
        The number; None if that node does not have the series or does not tell the number.

    Raises:
        Unavailable: If it does not answer.
    """
    question = Dataset()
    question.QueryRetrieveLevel = "SERIES"
    question.StudyInstanceUID, question.SeriesInstanceUID = study_uid, series_uid
    question.NumberOfSeriesRelatedInstances = None
    model = StudyRootQueryRetrieveInformationModelFind
    numbers: list[int] = []
    with associate(aet, peer, [build_context(model)], tls) as association:
        if not association.accepted_contexts:
            return None
        for status, answer in association.send_c_find(question, model):
            if "Status" not in status:
                raise Unavailable(f"Expected an answer of {peer} to C-FIND. Received none in time.")
            if status.Status in _PENDING and answer is not None:
                numbers += _number(answer, series_uid)
            elif status.Status != 0x0000:
                raise Unavailable(
                    f"Expected an answer of {peer} to C-FIND. Received the status "
                    f"0x{status.Status:04X}."
                )
    return max(numbers, default=None)


def _number(answer: Dataset, series_uid: str) -> list[int]:
    try:
        if str(answer.SeriesInstanceUID) == series_uid:
            return [int(answer.NumberOfSeriesRelatedInstances)]
    except (AttributeError, TypeError, ValueError):
        pass
    return []
