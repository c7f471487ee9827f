"""Check of an unpacked bundle: it is complete, unchanged and harmless."""

import hashlib
import stat
from pathlib import Path

from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.model.bundle.bundle_record import MAX_BYTES, MEMBERS, BundleRecord, Member
from liverseg_tf.model.bundle.keras_file import check_keras_file
from liverseg_tf.model.run_record import MODEL_FILE, RunRecord


def verify_bundle(folder: Path) -> BundleRecord:
    """Check the files of a bundle, without loading its model.

    Args:
        folder: Folder of the unpacked bundle. Files that do not belong to it are not looked at.

    Returns:
        The record of the bundle.

    Raises:
        LiverSegError: If a file is missing or is not the one that was packed, the model holds more
            than a network, or the record of the run does not belong to it.
    """
    folder = Path(folder)
    record = BundleRecord.read(folder)
    if sum(member.bytes for member in record.members.values()) > MAX_BYTES:
        raise LiverSegError(f"Expected at most {MAX_BYTES >> 20} MiB in a bundle. Received more.")
    for name in MEMBERS:
        _check_member(folder / name, record.members[name])
    check_keras_file(folder / MODEL_FILE)
    run = RunRecord.read(folder)
    run.check_finished(folder)
    run.check_model(folder)
    modality = "CT" if run.network.tiles.percentiles is None else "MR"
    if (tuple(record.regions), record.modality) != (run.network.regions.names, modality):
        raise LiverSegError(
            f"Expected a bundle of {', '.join(run.network.regions.names)} in {modality}, which the "
            f"model predicts. Received {', '.join(record.regions)} in {record.modality}."
        )
    return record


def describe_member(content: bytes) -> Member:
    """Return the size and the checksum of a file's content."""
    return Member(len(content), hashlib.sha256(content).hexdigest())


def _check_member(path: Path, expected: Member) -> None:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise LiverSegError(f"Expected a regular file {path.name}. Received another kind.")
        checksum = "another size"
        if found.st_size == expected.bytes:
            with open(path, "rb") as file:
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise LiverSegError(
            f"Expected the file {path.name} in the bundle. Received: {reason_of(error)}."
        ) from error
    if checksum != expected.sha256:
        raise LiverSegError(
            f"Expected {path.name} as it was packed. Received a file that does not match its "
            "checksum: the bundle was changed or damaged."
        )
