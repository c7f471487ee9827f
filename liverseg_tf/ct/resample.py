"""In-plane resampling as two small matrices, the same code in both directions."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse

from liverseg_tf.ct.bounding_box import bounding_box


@lru_cache(maxsize=64)
def resampling_matrix(source: int, target: int, ratio: float) -> sparse.csr_array:
    """The matrix that resamples a line of voxels linearly, with anti-aliasing when it shrinks.

    Both lines have the same centre, so nothing moves by half a voxel: target voxel t lies at
    s = (t - (target - 1) / 2) * ratio + (source - 1) / 2. Its weights are a triangle around s
    of half-width max(1, ratio) (linear interpolation, or a linear filter as wide as the target
    voxels), made to sum to 1. What the triangle covers beyond the ends is left out; an s beyond
    an end is moved to it, so that the last voxel is repeated.

    Args:
        source: number of voxels of the given line.
        target: number of voxels of the wanted line.
        ratio: target spacing over source spacing, > 0.

    Returns:
        (target, source) float32; the identity where source == target and ratio == 1. The way
        back is resampling_matrix(target, source, 1 / ratio).

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
    """Takes slices from one in-plane grid to another that has the same centre.

    Args:
        source_shape: (rows, cols) of the given slices.
        target_shape: (rows, cols) of the wanted slices.
        ratio: target spacing over source spacing along (row, col).
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
        """To another spacing, over the same field of view (rounded to whole voxels)."""
        ratio = tuple(new / old for old, new in zip(spacing_mm, target_mm, strict=True))
        target = tuple(max(1, round(n / r)) for n, r in zip(shape, ratio, strict=True))
        return cls(tuple(shape), target, ratio)

    @property
    def inverse(self) -> "PlaneResampler":
        """The way back to the source's grid."""
        return PlaneResampler(
            self.target_shape, self.source_shape, tuple(1 / r for r in self.ratio)
        )

    @property
    def is_identity(self) -> bool:
        return self.source_shape == self.target_shape and self.ratio == (1.0, 1.0)

    def apply(self, slices: np.ndarray) -> np.ndarray:
        """Resample slices.

        Args:
            slices: (z, row, col), any real dtype.

        Returns:
            (z, row, col) of the target shape, float32; the slices themselves, unchanged, where
            the grids are the same.
        """
        if self.is_identity:
            return slices
        out = np.empty((len(slices), *self.target_shape), np.float32)
        for z, plane in enumerate(slices):
            out[z] = _resample(plane, *self._matrices)
        return out

    def apply_labels(self, labels: np.ndarray) -> np.ndarray:
        """Resample a label map: each label on its own, the strongest one wins.

        Args:
            labels: (z, row, col) uint8.

        Returns:
            (z, row, col) uint8 of the target shape; at a tie the lower label.
        """
        if self.is_identity:
            return labels
        winner = np.zeros((len(labels), *self.target_shape), np.uint8)
        box = bounding_box(labels)
        # only the target voxels that a label reaches, and all that reaches them
        around = [_reached(*lines) for lines in zip(self._matrices, box[1:], strict=True)]
        matrices, targets, sources = zip(*around, strict=True)
        for z in range(box[0].start, box[0].stop):
            plane = np.ascontiguousarray(labels[z][sources])
            found = winner[z][targets]
            strongest = np.zeros(found.shape, np.float32)
            for label in np.flatnonzero(np.bincount(plane.reshape(-1))):
                weight = _resample(plane == label, *matrices)
                wins = weight > strongest
                found[wins] = label
                strongest[wins] = weight[wins]
        return winner

    @property
    def _matrices(self) -> list[sparse.csr_array]:
        """Of the rows and of the columns."""
        lengths = zip(self.source_shape, self.target_shape, self.ratio, strict=True)
        return [resampling_matrix(*line) for line in lengths]


def _resample(plane: np.ndarray, rows: sparse.csr_array, cols: sparse.csr_array) -> np.ndarray:
    half = rows @ np.ascontiguousarray(plane, np.float32)
    return (cols @ np.ascontiguousarray(half.T)).T


def _reached(matrix: sparse.csr_array, labelled: slice) -> tuple[sparse.csr_array, slice, slice]:
    """The part of a matrix that labelled voxels reach, and where it lies in target and source."""
    target = _span(matrix[:, labelled].sum(axis=1))
    source = _span(matrix[target].sum(axis=0))
    return matrix[target, source], target, source


def _span(weights: np.ndarray) -> slice:
    """From the first to the last that is not 0."""
    places = np.flatnonzero(weights)
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)
