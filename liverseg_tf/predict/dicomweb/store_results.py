"""Storing results in an archive, without ever replacing what it holds."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.dicomweb.archive import Archive

_BATCH_BYTES = 1 << 25  # of a request


def store_results(archive: Archive, files: Iterable[Path]) -> tuple[int, int]:
    """Store results in a study of an archive; objects that the archive already holds are not sent.

    Args:
        archive: Connection to the archive of the study.
        files: DICOM files of the study.

    Returns:
        Number of instances that were stored, and of those that the archive held before.

    Raises:
        LiverSegError: If the archive refuses an instance or does not confirm it. Instances that
            were stored before remain.
    """
    stored = kept = 0
    known: dict[str, set[str]] = {}
    for batch in _batches(files):
        new = []
        for dataset in batch:
            series = str(dataset.SeriesInstanceUID)
            if series not in known:
                known[series] = set(archive.find_instances(series))
            if str(dataset.SOPInstanceUID) in known[series]:
                kept += 1
            else:
                new.append(dataset)
        if new:
            _check_stored(new, archive.store(new), archive.address.service)
            stored += len(new)
    return stored, kept


def _batches(files: Iterable[Path]) -> Iterator[list[Dataset]]:
    batch: list[Dataset] = []
    size = 0
    for file in files:
        size += file.stat().st_size
        if batch and size > _BATCH_BYTES:
            yield batch
            batch, size = [], file.stat().st_size
        batch.append(pydicom.dcmread(file))
    if batch:
        yield batch


def _check_stored(sent: list[Dataset], answer: Dataset, service: str) -> None:
    confirmed = {
        str(item.get("ReferencedSOPInstanceUID"))
        for item in answer.get("ReferencedSOPSequence") or ()
    }
    reasons = {
        str(item.get("ReferencedSOPInstanceUID")): item.get("FailureReason")
        for item in answer.get("FailedSOPSequence") or ()
    }
    for dataset in sent:
        uid = str(dataset.SOPInstanceUID)
        if uid in confirmed:
            continue
        reason = reasons.get(uid)
        code = f"failure 0x{reason:04X}" if isinstance(reason, int) else "no confirmation"
        raise LiverSegError(
            f"Expected {service} to store {dataset.Modality} {uid}. Received {code}."
        )
