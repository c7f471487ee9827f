"""Surface elements (surfels) and their areas, as in google-deepmind/surface-distance."""

import numpy as np


def find_surfels(
    mask: np.ndarray, spacing_mm: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Find the corners of voxels where the surface of a mask lies, and the area at each.

    Args:
        mask: (z, row, col) bool with a margin of background.
        spacing_mm: Spacing along (z, row, col).

    Returns:
        Indices (n, 3) int of the corners, and their areas (n,) float64 in mm².
    """
    codes = np.zeros([size - 1 for size in mask.shape], np.uint8)
    for bit, offset in enumerate(np.ndindex(2, 2, 2)):
        shifts = zip(offset, codes.shape, strict=True)
        neighbours = mask[tuple(slice(step, step + size) for step, size in shifts)]
        codes |= neighbours.view(np.uint8) << np.uint8(bit)
    surface = (codes != 0) & (codes != 255)
    return np.argwhere(surface), surfel_areas(spacing_mm)[codes[surface]]


def surfel_areas(spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Compute the area of the marching-cubes surface for each of the 256 patterns of 8 voxels.

    In ambiguous patterns, the voxels in the minority are separated from each other. A pattern
    and its complement therefore have the same area.

    Args:
        spacing_mm: Spacing along (z, row, col).

    Returns:
        (256,) float64, mm². Bit i of the index is the i-th voxel in the order of `np.ndindex`.
    """
    from skimage.measure import marching_cubes  # the import takes half a second; few runs need it

    areas = np.zeros(256)
    for pattern in range(1, 255):
        minority = pattern if pattern.bit_count() <= 4 else 255 - pattern
        cube = (minority >> np.arange(8) & 1).reshape(2, 2, 2)
        corners, faces, *_ = marching_cubes(cube.astype(np.float32), 0.5, method="lorensen")
        a, b, c = np.moveaxis(corners[faces] * np.asarray(spacing_mm, np.float64), 1, 0)
        areas[pattern] = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    return areas
