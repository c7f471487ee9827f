"""The forms of structures that look like lesions: wedges, thin sheets and branching tubes.

Each form gives the depth below its surface in mm, as `LesionShape` does, and the share of the
z axis in the normal of its border, on which the partial volume in thick slices depends.
"""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.phantom.lesions.fields import LocalField

_FACES = 6


@dataclass(frozen=True, eq=False)
class Wedge:
    """A body with straight borders and rounded edges, as areas of focal fat have.

    Args:
        normals: (n, 3) outward normals of its faces.
        offsets_mm: (n,) distances of the faces from its centre.
        reach_mm: No point of the body is further from its centre along any axis.
    """

    normals: np.ndarray
    offsets_mm: np.ndarray
    reach_mm: float
    normal_z_square: float = 0.33

    @classmethod
    def draw(cls, rng: np.random.Generator, radius_mm: float) -> "Wedge":
        """Draw a body of about the volume of a ball with this radius."""
        # faces on opposite sides, so that the body is closed; those along z are nearly horizontal
        turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        normals = np.concatenate([turn, -turn, rng.standard_normal((_FACES // 2, 3))])
        normals += rng.normal(0, 0.25, normals.shape)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        offsets = radius_mm * rng.uniform(0.6, 1.1, len(normals))
        return cls(normals.astype(np.float32), offsets.astype(np.float32), 2.2 * radius_mm)

    def depth(self, z_mm: np.ndarray, y_mm: np.ndarray, x_mm: np.ndarray) -> np.ndarray:
        """Return the depth below the surface in mm, (Z, R, C) float32, negative outside."""
        depth = None
        for (z, y, x), offset in zip(self.normals, self.offsets_mm, strict=True):
            face = offset - _plane(z * _f(z_mm), y * _f(y_mm), x * _f(x_mm))
            depth = face if depth is None else np.minimum(depth, face)
        assert depth is not None
        return depth


@dataclass(frozen=True, eq=False)
class Sheet:
    """A thin sheet of fat that enters an organ from its surface, and becomes thinner inside.

    Args:
        frame: (3, 3) unit vectors: into the organ, along the sheet, and across it.
        length_mm: How far it enters the organ from the centre, which lies at the surface.
        half_width_mm: Half of its extent along the second vector.
        thickness_mm: At the surface.
        wave: Field that bends it.
        wave_mm: Standard deviation of the bend.
    """

    frame: np.ndarray
    length_mm: float
    half_width_mm: float
    thickness_mm: float
    wave: LocalField
    wave_mm: float

    @property
    def reach_mm(self) -> float:
        """No point of the sheet is further from its centre along any axis."""
        return float(np.hypot(self.length_mm, self.half_width_mm)) + self.thickness_mm

    @property
    def normal_z_square(self) -> float:
        """Square of the z component of its normal."""
        return float(self.frame[2, 0] ** 2)

    @classmethod
    def draw(
        cls, rng: np.random.Generator, inward: np.ndarray, length_mm: float, half_width_mm: float
    ) -> "Sheet":
        """Draw a sheet that is nearly upright.

        Args:
            rng: Generator of the structure.
            inward: (3,) direction into the organ.
            length_mm: As in the class.
            half_width_mm: As in the class.
        """
        inward = inward / np.linalg.norm(inward)
        along = np.array([1.0, 0, 0]) + rng.normal(0, 0.35, 3)
        along -= inward * (along @ inward)
        along /= np.linalg.norm(along) + 1e-6
        frame = np.stack([inward, along, np.cross(inward, along)]).astype(np.float32)
        reach = float(np.hypot(length_mm, half_width_mm)) + 4
        wave = LocalField.draw(rng, reach, max(0.5 * reach, 6))
        thickness = rng.uniform(0.8, 3.5)
        return cls(frame, length_mm, half_width_mm, thickness, wave, 0.08 * length_mm)

    def depth(self, z_mm: np.ndarray, y_mm: np.ndarray, x_mm: np.ndarray) -> np.ndarray:
        """Return the depth below the surface in mm, (Z, R, C) float32, negative outside."""
        inward, along, across = (
            _plane(z * _f(z_mm), y * _f(y_mm), x * _f(x_mm)) for z, y, x in self.frame
        )
        across = across + self.wave.at(z_mm, y_mm, x_mm)[0] * np.float32(self.wave_mm)
        thinner = 1 - 0.6 * np.clip(inward / np.float32(self.length_mm), 0, 1)
        depth = np.float32(self.thickness_mm / 2) * thinner - np.abs(across)
        ends = np.minimum(self.length_mm - inward, self.half_width_mm - np.abs(along))
        return np.minimum(depth, ends)


@dataclass(frozen=True, eq=False)
class Tree:
    """A tube that branches and becomes thinner, as a vessel does.

    Args:
        starts: (n, 3) first points of its straight pieces, in mm along z, row and column.
        ends: (n, 3) last points.
        radii_mm: (n, 2) radii at both.
    """

    starts: np.ndarray
    ends: np.ndarray
    radii_mm: np.ndarray
    normal_z_square: float = 0.25

    @property
    def reach_mm(self) -> float:
        """No point of the tree is further from its centre along any axis."""
        points = np.concatenate([self.starts, self.ends])
        return float(np.abs(points).max() + self.radii_mm.max())

    @classmethod
    def draw(cls, rng: np.random.Generator, radius_mm: float, length_mm: float) -> "Tree":
        """Draw a trunk of two pieces and two branches of as many.

        Args:
            rng: Generator of the structure.
            radius_mm: Radius of the trunk.
            length_mm: Length of the trunk.
        """
        pieces: list[tuple[np.ndarray, np.ndarray, float, float]] = []
        direction = rng.standard_normal(3) * (0.5, 1, 1)
        direction /= np.linalg.norm(direction)
        trunk_end, direction = _grow(
            rng, pieces, -0.5 * length_mm * direction, direction, (length_mm, radius_mm, 0.8)
        )
        for sign in (-1, 1):
            side = np.cross(direction, rng.standard_normal(3))
            side *= sign * rng.uniform(0.5, 0.9) / (np.linalg.norm(side) + 1e-6)
            extent = (length_mm * rng.uniform(0.5, 0.9), radius_mm * rng.uniform(0.5, 0.75), 0.6)
            _grow(rng, pieces, trunk_end, direction + side, extent)
        starts, ends, first, last = zip(*pieces, strict=True)
        radii = np.stack([first, last], axis=1).astype(np.float32)
        return cls(np.asarray(starts, np.float32), np.asarray(ends, np.float32), radii)

    def depth(self, z_mm: np.ndarray, y_mm: np.ndarray, x_mm: np.ndarray) -> np.ndarray:
        """Return the depth below the surface in mm, (Z, R, C) float32, negative outside."""
        axes = (_f(z_mm), _f(y_mm), _f(x_mm))
        depth = None
        for start, end, (first, last) in zip(self.starts, self.ends, self.radii_mm, strict=True):
            line = end - start
            parts = [axis - at for axis, at in zip(axes, start, strict=True)]
            scale = line / (line @ line + np.float32(1e-6))
            along = np.clip(_plane(*(p * s for p, s in zip(parts, scale, strict=True))), 0, 1)
            away = [
                np.expand_dims(part, [n for n in range(3) if n != number]) - along * line[number]
                for number, part in enumerate(parts)
            ]
            distance = np.sqrt(away[0] * away[0] + away[1] * away[1] + away[2] * away[2])
            piece = first + (last - first) * along - distance
            depth = piece if depth is None else np.maximum(depth, piece)
        assert depth is not None
        return depth


def _grow(rng, pieces: list, start, direction, extent) -> tuple[np.ndarray, np.ndarray]:
    """Add two straight pieces of a tube; `extent` is its length, radius and taper."""
    length, radius, taper = extent
    direction = direction / np.linalg.norm(direction)
    for number in range(2):
        end = start + direction * length / 2
        first, last = (radius * (1 - (1 - taper) * n / 2) for n in (number, number + 1))
        pieces.append((start, end, first, last))
        start = end
        direction = direction + rng.normal(0, 0.25, 3)
        direction /= np.linalg.norm(direction)
    return start, direction


def _plane(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Add values along the three axes, (Z, R, C)."""
    return z[:, None, None] + (y[:, None] + x)


def _f(axis_mm: np.ndarray) -> np.ndarray:
    return np.asarray(axis_mm, np.float32)
