"""Single images beside a series that are slices of it, with a SeriesInstanceUID of their own."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from liverseg_tf.ct.dicom.slices import DicomSlice, read_slices
from liverseg_tf.ct.volume import GRID_TOLERANCE_VOXELS
from liverseg_tf.errors import LiverSegError


def check_no_strays(slices: list[DicomSlice], files: Iterable[Path]) -> None:
    """Check that no single image is a slice that a volume lacks.

    A volume that lacks its first or its last slice is even, and so is one that lacks every second
    or two of three slices.

    Args:
        slices: Slices in the order of the volume, at least two.
        files: Single images of other series in the folders of the series.

    Raises:
        LiverSegError: If an image cannot be read, or has the position of a slice that the volume
            lacks.
    """
    if len(slices) < 2:
        return
    positions = np.array([current.position_mm for current in slices])
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    for file in files:
        try:
            others = read_slices(file)
        except LiverSegError as error:
            raise LiverSegError(
                f"Expected images that can be read beside a series. Received {file}, which may be "
                f"one of its slices: {error}"
            ) from error
        for other in others:
            index, beside_mm = _place(np.array(other.position_mm) - positions[0], step)
            tolerance_mm = 2 * GRID_TOLERANCE_VOXELS * max(slices[0].spacing_mm)
            if _is_even(index, len(slices)) and beside_mm <= tolerance_mm:
                raise LiverSegError(
                    f"Expected all slices of a volume in one series. Received {file}, which is a "
                    "slice of the volume with another SeriesInstanceUID (a damaged header?): copy "
                    "it again, or remove it if it does not belong to the series."
                )


def _place(offset: np.ndarray, step: np.ndarray) -> tuple[float, float]:
    """Return the index of a position in the volume, and its distance from the line in mm."""
    index = float(offset @ step / (step @ step))
    return index, float(np.linalg.norm(offset - index * step))


def _is_even(index: float, count: int) -> bool:
    """Return whether a slice at an index is one that a volume of even distances may lack."""
    tolerance = 2 * GRID_TOLERANCE_VOXELS
    if not -1 - tolerance <= index <= count + tolerance:
        return False
    if abs(index - round(index)) <= tolerance:
        return round(index) in (-1, count)
    return any(abs(index * parts - round(index * parts)) <= tolerance for parts in (2, 3))
