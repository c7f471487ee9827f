"""The shape of a lesion: ellipsoids, alone or grown together, deformed elastically."""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.phantom.lesions.fields import LocalField

_LOBED = 0.35  # fraction of the lesions of more than one ellipsoid
_LOBED_FROM_MM = 10.0  # diameter


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """A part of a lesion.

    Args:
        centre_mm: (3,) along z, row and column, from the lesion's centre.
        to_unit: (3, 3) matrix that maps the ellipsoid to the unit ball.
    """

    centre_mm: np.ndarray
    to_unit: np.ndarray

    @property
    def reach_mm(self) -> float:
        """A distance from the lesion's centre that no point of the ellipsoid exceeds."""
        longest = 1 / np.linalg.norm(self.to_unit, axis=1).min()
        return float(np.linalg.norm(self.centre_mm) + longest)

    @classmethod
    def draw(
        cls, rng: np.random.Generator, radius_mm: float, centre_mm=(0, 0, 0), ratios=(0.7, 0.6)
    ) -> "Ellipsoid":
        """Draw an ellipsoid of the volume of a ball with this radius.

        Args:
            rng: Generator of the lesion.
            radius_mm: Radius of the ball.
            centre_mm: As in the class.
            ratios: Least ratios of the other axes to the longest one.
        """
        ratios = np.array([1.0, *(rng.uniform(least, 1) for least in ratios)])
        radii = radius_mm * ratios / np.cbrt(ratios.prod())
        turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        return cls(np.asarray(centre_mm, np.float64), (turn / radii[:, None]).astype(np.float32))

    def depth(self, points: np.ndarray) -> np.ndarray:
        """Return the depth below the surface in mm, to first order, of points (3, n)."""
        unit = self.to_unit @ (points - self.centre_mm.astype(np.float32)[:, None])
        slope = self.to_unit.T @ unit
        square = np.einsum("in,in->n", unit, unit) + np.float32(1e-6)
        steepness = np.einsum("in,in->n", slope, slope) + np.float32(1e-9)
        distance = np.sqrt(square)
        return distance * (1 - distance) / np.sqrt(steepness)


@dataclass(frozen=True, eq=False)
class LesionShape:
    """The shape of a lesion around its centre.

    Args:
        parts: Its ellipsoids.
        coarse: Displacements along z, row and column, that bend the lesion.
        fine: Displacements that make its border uneven.
        coarse_mm: Standard deviation of the coarse displacements.
        fine_mm: Standard deviation of the fine displacements.
        radius_mm: Radius of a ball of about the same volume.
        reach_mm: No point of the lesion is further from its centre along any axis.
    """

    parts: tuple[Ellipsoid, ...]
    coarse: LocalField
    fine: LocalField
    coarse_mm: float
    fine_mm: float
    radius_mm: float
    reach_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator, diameter_mm: float) -> "LesionShape":
        """Draw a shape.

        Args:
            rng: Generator of the lesion.
            diameter_mm: Diameter of a ball of about the same volume.
        """
        radius = diameter_mm / 2
        lobes = 0
        if diameter_mm > _LOBED_FROM_MM and rng.random() < _LOBED:
            lobes = int(rng.integers(1, 4))
        sizes = rng.uniform(0.45, 0.8, lobes)
        # what the lobes add to the volume, by experience
        main = radius / np.cbrt(1 + 0.5 * (sizes**3).sum())
        parts = [Ellipsoid.draw(rng, main)]
        for size in sizes:
            direction = rng.standard_normal(3)
            place = direction / np.linalg.norm(direction) * main * rng.uniform(0.7, 1.0)
            parts.append(Ellipsoid.draw(rng, main * size, place))
        coarse_mm = radius * rng.uniform(0.06, 0.16)
        fine_mm = radius * rng.uniform(0.02, 0.07)
        reach = max(part.reach_mm for part in parts) + 2 * (coarse_mm + fine_mm)
        return cls(
            tuple(parts),
            LocalField.draw(rng, reach, max(0.8 * radius, 2.0), 3),
            LocalField.draw(rng, reach, max(0.4 * radius, 2.0), 3),
            coarse_mm,
            fine_mm,
            radius,
            reach,
        )

    @classmethod
    def draw_smooth(cls, rng: np.random.Generator, diameter_mm: float) -> "LesionShape":
        """Draw a round shape with an even border, such as that of a cyst; see `draw`."""
        radius = diameter_mm / 2
        ball = Ellipsoid.draw(rng, radius, ratios=(0.85, 0.8))
        bend_mm = 0.03 * radius
        reach = ball.reach_mm + 2 * bend_mm
        even = LocalField(np.zeros((3, 4, 4, 4), np.float32), reach)
        bent = LocalField.draw(rng, reach, max(radius, 2.0), 3)
        return cls((ball,), bent, even, bend_mm, 0.0, radius, reach)

    @property
    def normal_z_square(self) -> float:
        """Square of the z component of the normal of its border, in the mean."""
        return 0.33

    def depth(self, z_mm: np.ndarray, y_mm: np.ndarray, x_mm: np.ndarray) -> np.ndarray:
        """Return the depth below the surface in mm, (Z, R, C) float32, negative outside.

        Args:
            z_mm: Distances of the points from the centre along z.
            y_mm: Distances along the rows.
            x_mm: Distances along the columns.
        """
        axes = [np.asarray(axis, np.float32) for axis in (z_mm, y_mm, x_mm)]
        points = self.coarse.at(*axes) * np.float32(self.coarse_mm)
        points += self.fine.at(*axes) * np.float32(self.fine_mm)
        for number, axis in enumerate(axes):
            points[number] += np.expand_dims(axis, [n for n in range(3) if n != number])
        shape, points = points.shape[1:], points.reshape(3, -1)
        depth = self.parts[0].depth(points)
        for part in self.parts[1:]:
            depth = _smooth_union(depth, part.depth(points), 0.25 * self.radius_mm)
        return depth.reshape(shape)


def _smooth_union(one: np.ndarray, other: np.ndarray, rounding_mm: float) -> np.ndarray:
    """Unite two shapes with a rounded notch between them."""
    near = np.maximum(np.float32(rounding_mm) - np.abs(one - other), 0)
    return np.maximum(one, other) + near * near * np.float32(0.25 / rounding_mm)
