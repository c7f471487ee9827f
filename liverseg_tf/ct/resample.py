"""In-plane resampling as two small matrices, the same code in both directions."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse


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
        rows, cols = (
            resampling_matrix(*lengths)
            for lengths in zip(self.source_shape, self.target_shape, self.ratio, strict=True)
        )
        out = np.empty((len(slices), *self.target_shape), np.float32)
        for z, plane in enumerate(slices):
            half = rows @ np.ascontiguousarray(plane, np.float32)
            out[z] = (cols @ np.ascontiguousarray(half.T)).T
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
        for z in np.flatnonzero(labels.any(axis=(1, 2))):
            plane = labels[z : z + 1]
            strongest = np.zeros((1, *self.target_shape), np.float32)
            for label in np.flatnonzero(np.bincount(plane.ravel(), minlength=256)):
                weight = self.apply(plane == label)
                wins = weight > strongest
                winner[z : z + 1][wins] = label
                strongest[wins] = weight[wins]
        return winner
