"""Single images beside a series that are slices of it, with a SeriesInstanceUID of their own."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from liverseg_tf.ct.dicom.slices import DicomSlice, read_slices
from liverseg_tf.ct.volume import GRID_TOLERANCE_VOXELS
from liverseg_tf.errors import LiverSegError


def check_no_strays(slices: list[DicomSlice], files: Iterable[Path]) -> None:
    """Check that no single image continues a volume: its first or last slice would be missing.

    Args:
        slices: Slices in the order of the volume, at least two.
        files: Single images of other series in the folders of the series.

    Raises:
        LiverSegError: If an image has the grid of the slices and the place of the next one.
    """
    if len(slices) < 2:
        return
    positions = np.array([current.position_mm for current in slices])
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    tolerance_mm = 2 * GRID_TOLERANCE_VOXELS * max(np.linalg.norm(step), *slices[0].spacing_mm)
    for file in files:
        try:
            others = read_slices(file)
        except LiverSegError:
            continue
        for other in others:
            ends = (positions[0] - step, positions[-1] + step)
            distance = min(np.linalg.norm(end - other.position_mm) for end in ends)
            if distance <= tolerance_mm and _has_grid_of(other, slices[0]):
                raise LiverSegError(
                    f"Expected all slices of a volume in one series. Received {file}, the next "
                    "slice of the volume with another SeriesInstanceUID (a damaged header?): copy "
                    "it again, or remove it if it does not belong to the series."
                )


def _has_grid_of(other: DicomSlice, first: DicomSlice) -> bool:
    return (
        (other.shape, other.patient, other.modality) == (first.shape, first.patient, first.modality)
        and np.allclose(other.spacing_mm, first.spacing_mm, rtol=1e-3)
        and np.allclose(other.cosines, first.cosines, atol=1e-3)
    )
