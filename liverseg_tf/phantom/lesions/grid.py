"""Positions of the voxels of a box around a lesion or a lookalike."""

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


def box_in_volume(
    centre_mm: np.ndarray,
    reach_mm: float,
    shape: tuple[int, ...],
    spacing_mm: tuple[float, float, float],
) -> tuple[tuple[slice, ...], Grid]:
    """Return the part of a volume around a structure, and the positions of its voxels.

    Args:
        centre_mm: Its centre (z, row, column) from the first voxel.
        reach_mm: Distance beyond which the volume stays as it is.
        shape: (Z, R, C) of the volume.
        spacing_mm: (z, row, column) of the voxels.
    """
    spacing = np.array(spacing_mm)
    low = np.maximum(np.floor((centre_mm - reach_mm) / spacing).astype(int), 0)
    high = np.minimum(np.ceil((centre_mm + reach_mm) / spacing).astype(int) + 1, shape)
    box = tuple(slice(*ends) for ends in zip(low, high, strict=True))
    z_mm, y_mm, x_mm = (
        np.arange(part.start, part.stop) * mm - place
        for part, mm, place in zip(box, spacing, centre_mm, strict=True)
    )
    return box, Grid(z_mm, y_mm, x_mm, spacing_mm[0], spacing_mm[1:])
