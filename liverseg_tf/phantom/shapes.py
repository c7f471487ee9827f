"""Smooth implicit shapes: functions that return the depth below a surface in mm.

The depth is the negative signed distance: positive inside, negative outside.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse
from scipy.interpolate import BSpline

Box = tuple[slice, ...]


@dataclass(frozen=True)
class Points:
    """Positions of voxels in the body, and depths that several shapes share.

    Args:
        z: (Z, R, C) float32, mm to superior.
        y: (Z, R, C) float32, mm to posterior.
        x: (Z, R, C) float32, mm to the patient's left.
        depths: (Z, R, C) float32 arrays by name: depth below a shared surface in mm, or the
            smooth fields `ripple` and `seam`.
    """

    z: np.ndarray
    y: np.ndarray
    x: np.ndarray
    depths: dict[str, np.ndarray] = field(default_factory=dict)

    def crop(self, box: Box) -> "Points":
        """Return views of the points in a box of indices."""
        depths = {name: depth[box] for name, depth in self.depths.items()}
        return Points(self.z[box], self.y[box], self.x[box], depths)

    def with_depth(self, name: str, depth: np.ndarray) -> "Points":
        """Return the points with one more shared depth."""
        return replace(self, depths={**self.depths, name: depth})


@dataclass(frozen=True)
class SmoothField:
    """A random smooth function of the scanner's coordinates: a cubic B-spline.

    Args:
        knots: (z, y, x) values of the control points, from -1 to 1.
        step_mm: Distance between control points; wavelengths are at least twice as long.
    """

    knots: np.ndarray
    step_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator, step_mm: float) -> "SmoothField":
        """Draw random control points that cover 600 mm along each axis."""
        count = int(np.ceil(600 / step_mm)) + 4
        return cls(rng.uniform(-1, 1, (count, count, count)).astype(np.float32), step_mm)

    def at(self, z_mm: np.ndarray, y_mm: np.ndarray, x_mm: np.ndarray) -> np.ndarray:
        """Evaluate the field on a grid: (Z, R, C) float32, standard deviation about 0.3."""
        by_z, by_y, by_x = (self._weights(axis) for axis in (z_mm, y_mm, x_mm))
        by_z, low = by_z.toarray(), by_z.indices.min()
        knots = 1.6 * self.knots[low : by_z.any(0).nonzero()[0][-1] + 1]
        count = len(knots)
        # sparse products use only the four knots around a voxel
        along_x = by_x @ knots.reshape(-1, knots.shape[2]).T
        along_x = along_x.T.reshape(count, -1, len(x_mm)).swapaxes(0, 1)
        planes = (by_y @ along_x.reshape(-1, count * len(x_mm))).reshape(-1, count, len(x_mm))
        field = np.zeros((len(z_mm), len(y_mm), len(x_mm)), np.float32)
        for plane, weights in zip(field, by_z, strict=True):
            for knot in np.flatnonzero(weights):
                plane += weights[knot] * planes[:, knot - low]
        return field

    def _weights(self, axis_mm: np.ndarray) -> sparse.csr_array:
        count = self.knots.shape[0]
        places = np.clip(np.asarray(axis_mm) / self.step_mm + count / 2, 2, count - 2)
        weights = BSpline.design_matrix(places, np.arange(count + 4) - 1.5, 3)
        return weights.astype(np.float32)


def ellipsoid(points: Points, centre: tuple, radii: tuple) -> np.ndarray:
    """Compute the depth below the surface of an ellipsoid, to first order.

    Args:
        points: Positions of the voxels.
        centre: Centre (x, y, z) in mm.
        radii: Radii (x, y, z) in mm.
    """
    return _rounded(_xyz(points), centre, radii)


def elliptic_cylinder(points: Points, centre: tuple, radii: tuple) -> np.ndarray:
    """Compute the depth below the surface of a cylinder along z; centre and radii are (x, y)."""
    return _rounded((points.x, points.y), centre, radii)


def superelliptic_cylinder(points: Points, radii: tuple[float, float]) -> np.ndarray:
    """Compute the depth in a cylinder along z: a superellipse of exponent 2.5, radii (x, y)."""
    total = np.float32(1e-6)
    slope = np.float32(1e-12)
    for axis, radius in ((points.x, radii[0]), (points.y, radii[1])):
        ratio = np.abs(axis) * np.float32(1 / radius)
        root = ratio * np.sqrt(ratio)
        slope = slope + (root * np.float32(1 / radius)) ** 2
        total = total + root * ratio
    # g = total^(1/2.5); depth = (1 - g) / |grad g|, with grad g = g^(1 - 2.5) * root / radius
    size = total ** np.float32(0.4)
    return (1 - size) * size * np.sqrt(size) / np.sqrt(slope)


def tube(points: Points, path: np.ndarray, radii: tuple[float, float]) -> np.ndarray:
    """Compute the depth below the surface of a tube.

    Args:
        points: Positions of the voxels.
        path: (n, 3) points (x, y, z) of the centreline in mm.
        radii: Radii at the first and the last point in mm.
    """
    steps = np.linspace(radii[0], radii[1], len(path))
    depth = np.full(points.x.shape, -np.inf, np.float32)
    for start, end, first, last in zip(path[:-1], path[1:], steps[:-1], steps[1:], strict=True):
        along = (end - start).astype(np.float32)
        away = [axis - np.float32(s) for axis, s in zip(_xyz(points), start, strict=True)]
        position = sum(a * d for a, d in zip(away, along, strict=True)) / np.float32(along @ along)
        np.clip(position, 0, 1, out=position)
        far = sum((a - position * d) ** 2 for a, d in zip(away, along, strict=True))
        np.maximum(depth, first + position * np.float32(last - first) - np.sqrt(far), out=depth)
    return depth


def smooth_union(one: np.ndarray, other: np.ndarray, rounding_mm: float) -> np.ndarray:
    """Unite two shapes with a rounded edge (polynomial smooth maximum, Inigo Quilez)."""
    near = np.maximum(rounding_mm - np.abs(one - other), 0)
    return np.maximum(one, other) + near * near * np.float32(0.25 / rounding_mm)


def smooth_intersection(one: np.ndarray, other: np.ndarray, rounding_mm: float) -> np.ndarray:
    """Intersect two shapes with a rounded edge."""
    return -smooth_union(-one, -other, rounding_mm)


def _xyz(points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return points.x, points.y, points.z


def _rounded(axes: tuple, centre: tuple, radii: tuple) -> np.ndarray:
    inner = outer = np.float32(1e-6)
    for axis, middle, radius in zip(axes, centre, radii, strict=True):
        part = (axis - np.float32(middle)) * np.float32(1 / radius)
        part *= part
        inner = inner + part
        part *= np.float32(1 / radius**2)
        outer = outer + part
    inner = np.sqrt(inner)
    return inner * (1 - inner) / np.sqrt(outer)
