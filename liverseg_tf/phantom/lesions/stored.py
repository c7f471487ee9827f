"""Volumes as they are stored: the range and the steps of their values, and their axis order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.ct.volume import Volume

_FEW_VALUES = 512  # an image with fewer values of the organ is stored in steps


def as_stored(values: np.ndarray, source: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Round the changed voxels to the values and the range of the source.

    Args:
        values: (z, row, col) float32 HU.
        source: (z, row, col) HU before the change.
        changed: (z, row, col) bool.
    """
    new = source.copy()
    lowest, highest = float(source.min()), float(source.max())
    clipped = np.clip(values[changed], lowest, highest)
    steps = np.unique(source[:: max(1, len(source) // 16)])
    if source.dtype.kind == "f" or len(steps) < _FEW_VALUES:
        if len(steps) < _FEW_VALUES:  # such as an image that was clipped and stored in 8 bits
            right = np.clip(np.searchsorted(steps, clipped), 1, len(steps) - 1)
            nearer = clipped - steps[right - 1] < steps[right] - clipped
            clipped = np.where(nearer, steps[right - 1], steps[right])
    else:
        clipped = np.rint(clipped)
    new[changed] = clipped.astype(source.dtype)
    return new


def in_file_order(volume: Volume, canonical: np.ndarray, orientation: Orientation) -> Volume:
    """Return a volume with an array in canonical order, in the axis order of its file."""
    return replace(volume, array=np.ascontiguousarray(orientation.from_canonical(canonical)))


def voxel_of(image: Volume, centre_mm: Sequence[float]) -> tuple[int, int, int]:
    """Return the voxel (i, j, k) in the file of a place in RAS+ mm."""
    inverse = np.linalg.inv(image.affine)
    i, j, k = (inverse[:3, :3] @ np.array(centre_mm) + inverse[:3, 3]).tolist()
    return round(i), round(j), round(k)
