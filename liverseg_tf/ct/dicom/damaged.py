"""Files of a folder tree that may be slices and cannot be used as such."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from liverseg_tf.ct.dicom.recognise import Kind, RecognisedFile


def find_damaged(files: Iterable[RecognisedFile]) -> list[RecognisedFile]:
    """Return the files that cannot be read, are named like slices beside them, or lack a series.

    Args:
        files: All files of a folder tree.

    Returns:
        Files with the reason.
    """
    files = list(files)
    names = {_name_pattern(file.path) for file in files if file.kind is Kind.SLICE and file.uid}
    damaged = []
    for file in files:
        if file.kind is Kind.SLICE and not file.uid:
            damaged.append(replace(file, reason="SeriesInstanceUID is missing or empty"))
        elif file.kind is Kind.DAMAGED:
            damaged.append(file)
        elif _name_pattern(file.path) in names and file.is_other_file:
            damaged.append(replace(file, reason="no DICOM file, but named like the slices"))
    return damaged


def _name_pattern(path: Path) -> tuple[Path, str]:
    """Return a file's folder, and its name with decimal and long hexadecimal numbers replaced."""
    return path.parent, re.sub(r"[0-9a-fA-F]{8,}|\d+", "#", path.name)
