"""Surface elements with an area, as google-deepmind/surface-distance defines them."""

import numpy as np


def find_surfels(
    mask: np.ndarray, spacing_mm: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """The corners of voxels at which a mask's surface lies, and the area of each.

    Args:
        mask: (z, row, col) bool with a margin of background.
        spacing_mm: along (z, row, col).

    Returns:
        Indices (n, 3) int of the corners and their areas (n,) float64 in mm².
    """
    codes = np.zeros([size - 1 for size in mask.shape], np.uint8)
    for bit, offset in enumerate(np.ndindex(2, 2, 2)):
        window = zip(offset, codes.shape, strict=True)
        view = mask[tuple(slice(step, step + size) for step, size in window)]
        codes |= view.view(np.uint8) << np.uint8(bit)
    surface = (codes != 0) & (codes != 255)
    return np.argwhere(surface), surfel_areas(spacing_mm)[codes[surface]]


def surfel_areas(spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """The area of the marching-cubes surface among eight voxels, for each of 256 patterns.

    Ambiguous patterns are cut so that the voxels in the minority stay apart; a pattern and
    its complement therefore have one area.

    Args:
        spacing_mm: along (z, row, col).

    Returns:
        (256,) float64, mm²; bit i of the index is the i-th voxel in the order of `np.ndindex`.
    """
    from skimage.measure import marching_cubes  # it costs half a second that few need

    areas = np.zeros(256)
    for pattern in range(1, 255):
        minority = pattern if pattern.bit_count() <= 4 else 255 - pattern
        cube = (minority >> np.arange(8) & 1).reshape(2, 2, 2)
        corners, faces, *_ = marching_cubes(cube.astype(np.float32), 0.5, method="lorensen")
        a, b, c = np.moveaxis(corners[faces] * np.asarray(spacing_mm, np.float64), 1, 0)
        areas[pattern] = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    return areas
