"""Unique identifiers of DICOM: the form of foreign ones, and the content of a series."""

import hashlib
import re
from collections.abc import Iterable

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Return whether a text is a UID: digits and single dots, at most 64 characters.

    Leading zeros, which the standard forbids, occur in files of scanners and are harmless.

    Example:
        >>> is_uid("1.2.840.10008"), is_uid("../etc"), is_uid("1..2")
        (True, False, False)
    """
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def digest_instance(data_set: bytes | memoryview, syntax: str) -> str:
    """Compute the SHA-256 digest of a data set as it was received.

    Args:
        data_set: Encoded data set, without the file meta information.
        syntax: UID of its transfer syntax.
    """
    digest = hashlib.sha256(syntax.encode() + b"\0")
    digest.update(data_set)
    return digest.hexdigest()


def digest_result(series_uids: Iterable[str], instances: Iterable[str], made_by: str) -> str:
    """Compute the digest of everything that a result is made from.

    Equal digests give equal UIDs, so that an archive holds a result that was sent twice once.

    Args:
        series_uids: StudyInstanceUID and SeriesInstanceUID of the images.
        instances: Digests of the instances, in any order.
        made_by: Model, post-processing, kinds of results and version of the program.
    """
    parts = [*series_uids, made_by, *sorted(instances)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
