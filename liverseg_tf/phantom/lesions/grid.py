"""Positions of the voxels of a box around a lesion."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Grid:
    """Positions of the voxels of a box, relative to the centre of a lesion.

    Args:
        z_mm: (Z,) float64 along z; the slices of a tile's context need not be adjacent.
        y_mm: (R,) float64 along the rows.
        x_mm: (C,) float64 along the columns.
        thickness_mm: Distance between neighbouring slices of the volume.
        pixels_mm: Distance between rows, and between columns.
    """

    z_mm: np.ndarray
    y_mm: np.ndarray
    x_mm: np.ndarray
    thickness_mm: float
    pixels_mm: tuple[float, float]

    @property
    def pixel_mm(self) -> float:
        """Mean of the distances within a slice."""
        return sum(self.pixels_mm) / 2

    @property
    def is_contiguous(self) -> bool:
        """Whether there are several slices, each beside the next."""
        return len(self.z_mm) > 1 and bool(np.allclose(np.diff(self.z_mm), self.thickness_mm))

    def distance_mm(self) -> np.ndarray:
        """Return the distance of each voxel from the centre, (Z, R, C) float32, above 0."""
        z, y, x = (np.asarray(axis, np.float32) ** 2 for axis in (self.z_mm, self.y_mm, self.x_mm))
        return np.sqrt(z[:, None, None] + (y[:, None] + x + np.float32(1e-4)))
