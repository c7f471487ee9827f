"""Morphology of masks, (z, row, col) bool: filling holes, smoothing along z, distance limits."""

import numpy as np
from scipy import ndimage

from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.ct.components import label

_FACES = ndimage.generate_binary_structure(3, 1)
_FACES_IN_SLICE = _FACES & np.array([False, True, False])[:, None, None]


def smooth_z(mask: np.ndarray) -> np.ndarray:
    """Take the majority of each voxel and its two neighbours along z (a median filter).

    The first and the last slice are unchanged.
    """
    out = mask.copy()
    below, middle, above = mask[:-2], mask[1:-1], mask[2:]
    out[1:-1] = (below & middle) | (middle & above) | (below & above)
    return out


def fill_holes_2d(mask: np.ndarray) -> np.ndarray:
    """Fill the holes that are enclosed within their slice (4 neighbours)."""
    return _fill_holes(mask, _FACES_IN_SLICE, (0, 1, 1))


def fill_holes_3d(mask: np.ndarray) -> np.ndarray:
    """Fill the holes that are enclosed on all sides (6 neighbours).

    Background that reaches the first or the last slice is not a hole.
    """
    return _fill_holes(mask, _FACES, (1, 1, 1))


def within_distance(
    inner: np.ndarray,
    outer: np.ndarray,
    spacing_mm: tuple[float, float, float],
    distance_mm: float,
) -> np.ndarray:
    """Keep the voxels of one mask that are close to another mask.

    Args:
        inner: (z, row, col) bool, the mask whose voxels are kept or removed.
        outer: (z, row, col) bool, the mask to which distances are measured.
        spacing_mm: Spacing along (z, row, col).
        distance_mm: Largest distance between voxel centres, at least 0; with 0, the voxels
            that lie in `outer` are kept.

    Returns:
        (z, row, col) bool.
    """
    out = inner & outer
    outside = inner & ~outer
    if distance_mm == 0 or not outside.any():
        return out
    margins = [int(np.ceil(distance_mm / spacing)) for spacing in spacing_mm]
    box = tuple(
        slice(max(part.start - margin, 0), part.stop + margin)
        for part, margin in zip(bounding_box(outside), margins, strict=True)
    )
    if outer[box].any():
        distances = ndimage.distance_transform_edt(~outer[box], sampling=spacing_mm)
        out[box] |= outside[box] & (distances <= distance_mm + 1e-6)
    return out


def _fill_holes(
    mask: np.ndarray, structure: np.ndarray, margin: tuple[int, int, int]
) -> np.ndarray:
    box = bounding_box(mask)
    cropped = mask[box]
    if not cropped.size:
        return mask
    # a margin of background connects everything that is open
    padded = np.pad(~cropped, [(m, m) for m in margin], constant_values=True)
    labels, count = label(padded, structure)
    is_open = np.zeros(count + 1, bool)
    for axis, m in enumerate(margin):
        if m:
            is_open[np.take(labels, (0, -1), axis).ravel()] = True
    is_open[0] = True
    without_margin = labels[tuple(slice(m, -m if m else None) for m in margin)]
    out = mask.copy()
    out[box] |= ~is_open[without_margin]
    return out
