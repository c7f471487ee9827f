"""Smooth random functions in the neighbourhood of a lesion: cubic B-splines."""

from dataclasses import dataclass

import numpy as np

# a cubic B-spline of independent control points has about 0.34 of their standard deviation
_SPLINE_STD = 0.34


@dataclass(frozen=True, eq=False)
class LocalField:
    """A smooth function in a cube around a lesion's centre, of unit standard deviation.

    Args:
        knots: (..., n, n, n) float32 control points along z, row and column; the leading axes are
            components.
        step_mm: Distance between control points.
    """

    knots: np.ndarray
    step_mm: float

    @classmethod
    def draw(
        cls, rng: np.random.Generator, reach_mm: float, step_mm: float, components: int = 1
    ) -> "LocalField":
        """Draw a field that covers `reach_mm` on each side of the centre."""
        count = 2 * int(np.ceil(reach_mm / step_mm)) + 3
        knots = rng.standard_normal((components, count, count, count), np.float32)
        return cls(knots / np.float32(_SPLINE_STD), step_mm)

    def at(self, z_mm: np.ndarray, y_mm: np.ndarray, x_mm: np.ndarray) -> np.ndarray:
        """Evaluate the field on a grid: (components, Z, R, C) float32.

        Args:
            z_mm: Distances from the centre along z.
            y_mm: Distances from the centre along the rows.
            x_mm: Distances from the centre along the columns.
        """
        by_z, by_y, by_x = (self._weights(axis) for axis in (z_mm, y_mm, x_mm))
        along_z = np.tensordot(self.knots, by_z, (1, 1))  # (components, n, n, Z)
        along_x = by_x @ np.moveaxis(along_z, 3, 1).swapaxes(2, 3)  # (components, Z, C, n)
        return by_y @ along_x.swapaxes(2, 3)

    def _weights(self, axis_mm: np.ndarray) -> np.ndarray:
        count = self.knots.shape[-1]
        places = np.asarray(axis_mm) / self.step_mm + (count - 1) / 2
        distance = np.abs(np.clip(places, 1, count - 2)[:, None] - np.arange(count))
        near = (4 - 6 * distance**2 + 3 * distance**3) / 6
        far = np.maximum(2 - distance, 0) ** 3 / 6
        return np.where(distance < 1, near, far).astype(np.float32)
