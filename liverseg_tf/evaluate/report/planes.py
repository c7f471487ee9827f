"""The three planes of a volume as radiologists look at them."""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.regions import Regions


@dataclass(frozen=True)
class ViewPlane:
    """A direction in which a canonical volume is cut.

    Args:
        name: axial, coronal or sagittal.
        axis: array axis of (z, row, col) that the plane is perpendicular to.
        letters: sides of the patient at the picture's left, right, top and bottom.
    """

    name: str
    axis: int
    letters: str

    def cut(self, array: np.ndarray, index: int) -> np.ndarray:
        """One slice as it is drawn, first row at the top.

        Args:
            array: (z, row, col) in canonical order (see `ct.orientation`).
            index: of the slice along `axis`.

        Returns:
            A view (rows, cols): anterior or superior at the top; the patient's right (sagittal:
            anterior) on the left.
        """
        plane = array[(slice(None),) * self.axis + (index,)]
        return plane if self.axis == 0 else plane[::-1]  # z runs up, rows of a picture down

    def spacing_mm(self, spacing_mm: tuple[float, float, float]) -> tuple[float, float]:
        """Spacing along the picture's rows and columns, from (z, row, col)."""
        row, col = (mm for axis, mm in enumerate(spacing_mm) if axis != self.axis)
        return row, col


PLANES = (
    ViewPlane("axial", 0, "RLAP"),
    ViewPlane("coronal", 1, "RLSI"),
    ViewPlane("sagittal", 2, "APSI"),
)


def informative_slices(
    truth: np.ndarray, prediction: np.ndarray, regions: Regions
) -> tuple[int, int, int]:
    """The slice along each axis in which truth and prediction differ most.

    Args:
        truth: (z, row, col) uint8 labels.
        prediction: the same.
        regions: a voxel counts once for each of them in which it differs.

    Returns:
        Index along z, row and col. Masks that agree: the slice with most truth; empty ones:
        the middle.
    """
    different = [np.zeros(size, int) for size in truth.shape]
    present = [np.zeros(size, int) for size in truth.shape]
    for region in regions.names:
        mask = regions.mask(truth, region)
        _count_along_axes(mask, present)
        mask ^= regions.mask(prediction, region)
        _count_along_axes(mask, different)
    for counts in (different, present):
        if counts[0].any():
            return tuple(int(np.argmax(along)) for along in counts)
    return tuple(size // 2 for size in truth.shape)


def _count_along_axes(mask: np.ndarray, counts: list[np.ndarray]) -> None:
    """Add the voxels of each slice along z, row and col; one slice at a time saves memory."""
    for z, plane in enumerate(mask):
        if plane.any():
            counts[0][z] += np.count_nonzero(plane)
            counts[1] += np.count_nonzero(plane, axis=1)
            counts[2] += np.count_nonzero(plane, axis=0)
