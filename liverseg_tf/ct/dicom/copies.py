"""Copies of slices in a series: the same file twice."""

from dataclasses import replace

import numpy as np

from liverseg_tf.ct.dicom.pixels import read_slice
from liverseg_tf.ct.dicom.slices import DicomSlice
from liverseg_tf.errors import LiverSegError


def drop_copies(slices: list[DicomSlice]) -> list[DicomSlice]:
    """Remove copies of slices.

    Slices with one SOPInstanceUID are copies only if geometry, units and pixels are equal. If all
    files of a series have one UID, it was removed by software that makes files anonymous, and says
    nothing: then only slices at the same place are compared.

    Args:
        slices: Slices of one series.

    Returns:
        The first of each slice.

    Raises:
        LiverSegError: If slices with one UID differ, or a file cannot be read.
    """
    of_volume = len({(current.uid, current.frame) for current in slices}) > 1
    kept: dict[tuple, DicomSlice] = {}
    for current in slices:
        key: tuple = (current.uid, current.frame)
        if not current.uid:
            key = (current.file, current.frame)
        elif not of_volume:
            key = (*key, current.position_mm)
        first = kept.setdefault(key, current)
        if first is not current and not _are_copies(first, current):
            raise LiverSegError(
                "Expected slices with different SOPInstanceUIDs. Received one UID in "
                f"{first.file} and {current.file}, whose pixels or positions differ (two phases, "
                "or UIDs that were replaced): separate the phases, or export the series again."
            )
    return list(kept.values())


def _are_copies(first: DicomSlice, second: DicomSlice) -> bool:
    same_header = replace(second, file=first.file, syntax=first.syntax) == first
    return same_header and np.array_equal(read_slice(first), read_slice(second))
