"""Fingerprints of the files of an image, which change whenever one of the files does."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.images import source_files
from liverseg_tf.errors import LiverSegError, reason_of


def fingerprint_source(source: Path | DicomSeries) -> dict[str, int | str]:
    """Summarise the files of an image without reading them.

    Args:
        source: File, DICOM series, or folder with one series.

    Returns:
        `files` (their number), `bytes` (their total size) and `digest` (BLAKE2 of the name, the
        size and the time of modification of every file).

    Raises:
        LiverSegError: If a file is missing or cannot be accessed.
    """
    return fingerprint_files(source_files(source))


def fingerprint_files(files: Iterable[Path]) -> dict[str, int | str]:
    """Summarise files; see `fingerprint_source`."""
    entries = []
    for file in files:
        try:
            stat = file.stat()
        except (OSError, ValueError) as error:  # ValueError: a null character in the name
            reason = reason_of(error)
            raise LiverSegError(f"Expected a file at {file}. Received: {reason}.") from error
        entries.append((file.name, stat.st_size, stat.st_mtime_ns))
    digest = hashlib.blake2b(digest_size=16)
    for name, size, modified_ns in sorted(entries):
        digest.update(f"{name}\0{size}\0{modified_ns}\n".encode(errors="surrogateescape"))
    return {
        "files": len(entries),
        "bytes": sum(size for _, size, _ in entries),
        "digest": digest.hexdigest(),
    }
