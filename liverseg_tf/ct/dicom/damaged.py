"""Files of a folder tree that may be slices and cannot be used as such."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from liverseg_tf.ct.dicom.recognise import Kind, RecognisedFile


def find_damaged(files: Iterable[RecognisedFile]) -> list[RecognisedFile]:
    """Return the files that cannot be read, look like slices beside them, or lack a series.

    A file without the content of a DICOM file looks like a slice beside it if only numbers in the
    names differ, or if the suffix is the same and the size similar.

    Args:
        files: All files of a folder tree.

    Returns:
        Files with the reason.
    """
    files = list(files)
    names = {_name_pattern(file.path) for file in files if file.kind is Kind.SLICE and file.uid}
    beside = {file.path.parent: file.path for file in files if file.kind is Kind.SLICE}
    damaged = []
    for file in files:
        if file.kind is Kind.SLICE and not file.uid:
            damaged.append(replace(file, reason="SeriesInstanceUID is missing or empty"))
        elif file.kind is Kind.DAMAGED:
            damaged.append(file)
        elif file.is_other_file and (
            _name_pattern(file.path) in names
            or _is_as_large(file.path, beside.get(file.path.parent))
        ):
            damaged.append(replace(file, reason="no DICOM file, but like the slices beside it"))
    return damaged


def _name_pattern(path: Path) -> tuple[Path, str]:
    """Return a file's folder, and its name with decimal and long hexadecimal numbers replaced."""
    return path.parent, re.sub(r"[0-9a-fA-F]{8,}|\d+", "#", path.name)


def _is_as_large(path: Path, other: Path | None) -> bool:
    """Return whether a file has the suffix of a slice, and half to twice its size."""
    if other is None or path.suffix.lower() != other.suffix.lower():
        return False
    try:
        size, usual = path.stat().st_size, other.stat().st_size
    except OSError:
        return False
    return usual / 2 <= size <= 2 * usual
