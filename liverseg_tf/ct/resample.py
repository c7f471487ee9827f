"""In-plane resampling as two small matrix products, with the same code in both directions."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse

from liverseg_tf.ct.bounding_box import bounding_box


@lru_cache(maxsize=64)
def resampling_matrix(source: int, target: int, ratio: float) -> sparse.csr_array:
    """Build the matrix that resamples a line of voxels linearly, with anti-aliasing.

    Both lines have the same centre, so that nothing moves by half a voxel: the position of
    target voxel t in the source is s = (t - (target - 1) / 2) * ratio + (source - 1) / 2. Its
    weights form a triangle around s with half-width max(1, ratio): linear interpolation, or a
    linear filter with twice the width of a target voxel if these are larger. The weights sum to 1;
    the part of the triangle beyond the ends of the line is ignored. If s lies beyond an end, it is
    moved to this end, so that the last voxel is repeated.

    Args:
        source: Number of voxels of the source line.
        target: Number of voxels of the target line.
        ratio: Target spacing divided by source spacing, above 0.

    Returns:
        (target, source) float32; the identity if source == target and ratio == 1. The inverse
        direction is resampling_matrix(target, source, 1 / ratio).

    Example:
        >>> resampling_matrix(4, 2, 2.0).toarray().round(2)
        array([[0.43, 0.43, 0.14, 0.  ],
               [0.  , 0.14, 0.43, 0.43]], dtype=float32)
    """
    width = max(1.0, ratio)
    centres = (np.arange(target) - (target - 1) / 2) * ratio + (source - 1) / 2
    centres = np.clip(centres, 0, source - 1)
    reach = int(np.ceil(width))
    taps = np.floor(centres)[:, None].astype(int) + np.arange(-reach, reach + 1)
    weights = np.maximum(0, 1 - np.abs(taps - centres[:, None]) / width)
    weights[(taps < 0) | (taps >= source)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(target), taps.shape[1])
    kept = weights.ravel() > 1e-7
    entries = (weights.ravel()[kept], (rows[kept], taps.ravel()[kept]))
    return sparse.csr_array(entries, shape=(target, source), dtype=np.float32)


@dataclass(frozen=True)
class PlaneResampler:
    """Resampling of slices from one in-plane grid to another one with the same centre.

    Args:
        source_shape: Shape (rows, cols) of the source slices.
        target_shape: Shape (rows, cols) of the target slices.
        ratio: Target spacing divided by source spacing along (row, col).
    """

    source_shape: tuple[int, int]
    target_shape: tuple[int, int]
    ratio: tuple[float, float]

    @classmethod
    def to_spacing(
        cls,
        shape: tuple[int, int],
        spacing_mm: tuple[float, float],
        target_mm: tuple[float, float],
    ) -> "PlaneResampler":
        """Create the resampler to another spacing, with the same field of view up to rounding."""
        (rows, cols), (row_mm, col_mm) = shape, spacing_mm
        ratio = (target_mm[0] / row_mm, target_mm[1] / col_mm)
        target = (max(1, round(rows / ratio[0])), max(1, round(cols / ratio[1])))
        return cls((rows, cols), target, ratio)

    @property
    def inverse(self) -> "PlaneResampler":
        """The resampler from the target grid back to the source grid."""
        ratio = (1 / self.ratio[0], 1 / self.ratio[1])
        return PlaneResampler(self.target_shape, self.source_shape, ratio)

    @property
    def is_identity(self) -> bool:
        """Whether source and target grid are equal."""
        return self.source_shape == self.target_shape and self.ratio == (1.0, 1.0)

    def apply(self, slices: np.ndarray) -> np.ndarray:
        """Resample slices.

        Args:
            slices: (z, row, col), any real dtype.

        Returns:
            (z, row, col) float32 of the target shape; `slices` itself if the grids are equal.
        """
        if self.is_identity:
            return slices
        out = np.empty((len(slices), *self.target_shape), np.float32)
        for z, plane in enumerate(slices):
            out[z] = _resample(plane, *self._matrices)
        return out

    def apply_labels(self, labels: np.ndarray) -> np.ndarray:
        """Resample a label map: each label separately, and the label with the highest weight wins.

        Args:
            labels: (z, row, col) uint8.

        Returns:
            (z, row, col) uint8 of the target shape; the lower label if two weights are equal.
        """
        if self.is_identity:
            return labels
        resampled = np.zeros((len(labels), *self.target_shape), np.uint8)
        box = bounding_box(labels)
        # only the target voxels that labels influence, and the source voxels that influence them
        cropped = [_crop_matrix(*axis) for axis in zip(self._matrices, box[1:], strict=True)]
        matrices, targets, sources = zip(*cropped, strict=True)
        for z in range(box[0].start, box[0].stop):
            plane = np.ascontiguousarray(labels[z][sources])
            out = resampled[z][targets]
            highest = np.zeros(out.shape, np.float32)
            for label in np.flatnonzero(np.bincount(plane.reshape(-1))):
                weight = _resample(plane == label, *matrices)
                wins = weight > highest
                out[wins] = label
                highest[wins] = weight[wins]
        return resampled

    @property
    def _matrices(self) -> list[sparse.csr_array]:
        """The resampling matrices of the rows and of the columns."""
        axes = zip(self.source_shape, self.target_shape, self.ratio, strict=True)
        return [resampling_matrix(*axis) for axis in axes]


def _resample(plane: np.ndarray, rows: sparse.csr_array, cols: sparse.csr_array) -> np.ndarray:
    half = rows @ np.ascontiguousarray(plane, np.float32)
    return (cols @ np.ascontiguousarray(half.T)).T


def _crop_matrix(
    matrix: sparse.csr_array, labelled: slice
) -> tuple[sparse.csr_array, slice, slice]:
    """Crop a matrix to the target voxels that labelled source voxels influence.

    Returns:
        The cropped matrix, and the slices of the target and of the source that it covers.
    """
    (target,) = bounding_box(matrix[:, labelled].sum(axis=1))
    (source,) = bounding_box(matrix[target].sum(axis=0))
    return matrix[target, source], target, source
