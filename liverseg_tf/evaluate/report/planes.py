"""Axial, coronal and sagittal planes, shown as radiologists are used to seeing them."""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.regions import Regions


@dataclass(frozen=True)
class ViewPlane:
    """Direction of the slices that are cut from a canonical volume.

    Args:
        name: axial, coronal or sagittal.
        axis: Axis of an array (z, row, col) that is perpendicular to the plane.
        letters: Sides of the patient at the left, right, top and bottom of a picture.
    """

    name: str
    axis: int
    letters: str

    def cut(self, array: np.ndarray, index: int) -> np.ndarray:
        """Cut a slice in the orientation in which it is shown; the first row is at the top.

        Args:
            array: (z, row, col) in canonical order (see `ct.orientation`).
            index: Index of the slice along `axis`.

        Returns:
            A view (rows, cols). Its top is anterior (axial) or superior (coronal, sagittal), its
            left is the patient's right (axial, coronal) or anterior (sagittal).
        """
        pixels = array[(slice(None),) * self.axis + (index,)]
        return pixels if self.axis == 0 else pixels[::-1]  # z increases upwards, rows downwards

    def spacing_mm(self, spacing_mm: tuple[float, float, float]) -> tuple[float, float]:
        """Return the spacing along the rows and columns of a picture.

        Args:
            spacing_mm: Spacing of the volume along (z, row, col).
        """
        row, col = (mm for axis, mm in enumerate(spacing_mm) if axis != self.axis)
        return row, col


PLANES = (
    ViewPlane("axial", 0, "RLAP"),
    ViewPlane("coronal", 1, "RLSI"),
    ViewPlane("sagittal", 2, "APSI"),
)


def select_slices(
    truth: np.ndarray, prediction: np.ndarray, regions: Regions
) -> tuple[int, int, int]:
    """Select the slice along each axis in which ground truth and prediction differ most.

    Args:
        truth: (z, row, col) uint8 labels.
        prediction: (z, row, col) uint8 labels.
        regions: Regions that are compared. A voxel counts once for each region in which it differs.

    Returns:
        Index along z, row and col. If the masks are equal, the slices with the largest area of the
        ground truth; if they are empty, the middle slices.
    """
    different = [np.zeros(size, int) for size in truth.shape]
    present = [np.zeros(size, int) for size in truth.shape]
    for region in regions.names:
        mask = regions.mask(truth, region)
        _add_counts(mask, present)
        mask ^= regions.mask(prediction, region)
        _add_counts(mask, different)
    for counts in (different, present):
        if counts[0].any():
            z, row, col = (int(np.argmax(axis_counts)) for axis_counts in counts)
            return z, row, col
    depth, rows, cols = truth.shape
    return depth // 2, rows // 2, cols // 2


def _add_counts(mask: np.ndarray, counts: list[np.ndarray]) -> None:
    """Add the number of voxels in each slice along z, row and col; slice by slice saves memory."""
    for z, pixels in enumerate(mask):
        if pixels.any():
            counts[0][z] += np.count_nonzero(pixels)
            counts[1] += np.count_nonzero(pixels, axis=1)
            counts[2] += np.count_nonzero(pixels, axis=0)
