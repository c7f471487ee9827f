"""A phantom's patient: the same anatomy on any grid."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from liverseg_tf.phantom.frame import (
    Build,
    PhantomPart,
    frame_parts,
    spine_parts,
    with_body_depths,
)
from liverseg_tf.phantom.organs import LIVER, gut_parts, organ_parts, tumour_part
from liverseg_tf.phantom.shapes import Box, Points, SmoothField

Axes = tuple[np.ndarray, np.ndarray, np.ndarray]
COARSE_MM = 6.0
WARP_MM = 7.0


@dataclass(frozen=True)
class Pose:
    """How the patient lies in the scanner: scale, rotation, shift, then a smooth warp.

    Args:
        angle: in the axial plane, in radians.
        scale: size against the average patient.
        shift: of the body's middle, (x, y, z) in mm.
        warps: displacements along (x, y, z), in shares of WARP_MM.
        ripple: of the organs' surfaces.
        seam: of the thickness of the fat between organs.
    """

    angle: float
    scale: float
    shift: np.ndarray
    warps: tuple[SmoothField, SmoothField, SmoothField]
    ripple: SmoothField
    seam: SmoothField

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Pose":
        """A random pose."""
        return cls(
            angle=float(np.clip(rng.normal(0, 4), -10, 10)) * np.pi / 180,
            scale=rng.uniform(0.92, 1.05),
            shift=rng.uniform((-10, -10, -8), (10, 10, 8)),
            warps=tuple(SmoothField.draw(rng, 60) for _ in range(3)),
            ripple=SmoothField.draw(rng, 32),
            seam=SmoothField.draw(rng, 24),
        )

    def points(self, axes: Axes) -> Points:
        """Where the voxels on the grid of three axes (z, y, x; mm) lie in the average patient."""
        z, y, x = (np.asarray(axis, np.float32) for axis in axes)
        x_mm, y_mm, z_mm = (
            axis - np.float32(shift) + WARP_MM * warp.at(*axes)
            for axis, shift, warp in zip(
                (x, y[:, None], z[:, None, None]), self.shift, self.warps, strict=True
            )
        )
        cos, sin = (np.float32(f(self.angle) / self.scale) for f in (np.cos, np.sin))
        depths = {"ripple": self.ripple.at(*axes), "seam": self.seam.at(*axes)}
        return Points(
            z_mm * np.float32(1 / self.scale),
            cos * y_mm - sin * x_mm,
            cos * x_mm + sin * y_mm,
            depths,
        )

    def box(self, part: PhantomPart, axes: Axes) -> Box | None:
        """The indices where a part can lie; None where that is outside the grid."""
        if part.box is None:
            return (slice(None),) * 3
        first, last = np.array(part.box) * self.scale
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        middle = turn @ (first + last) / 2 + self.shift
        reach = np.abs(turn) @ (last - first) / 2 + 1.6 * WARP_MM
        low, high = middle - reach, middle + reach
        box = tuple(
            slice(int(np.searchsorted(axis, low[2 - i])), int(np.searchsorted(axis, high[2 - i])))
            for i, axis in enumerate(axes)
        )
        return box if all(s.stop > s.start for s in box) else None


@dataclass(frozen=True)
class Patient:
    """Everything that the anatomy is drawn from; the grid plays no role in it."""

    pose: Pose
    build: Build
    parts: tuple[PhantomPart, ...]
    couch_mm: float
    liver_mm: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator, count: int | None) -> "Patient":
        """A random patient with so many tumours in the liver (None: 0 to 5)."""
        pose_rng, build_rng, part_rng, tumour_rng = rng.spawn(4)
        pose, build = Pose.draw(pose_rng), Build.draw(build_rng)
        around = [*frame_parts(part_rng, build), *gut_parts(part_rng, build)]
        organs = [*organ_parts(part_rng, build), *spine_parts(part_rng, build)]
        back = build.cavity[1] + build.wall + build.fat
        couch_mm = pose.shift[1] + back * pose.scale + 14
        axes = tuple(np.arange(-reach, reach + 1, COARSE_MM) for reach in (132, 120, 168))
        _, labels = cls(pose, build, tuple(organs), couch_mm, (0.0, 0.0)).paint(axes, None)
        slices = axes[0][(labels == LIVER).any((1, 2))]
        count = int(tumour_rng.integers(0, 6)) if count is None else count
        tumours = _draw_tumours(tumour_rng, count, (labels == LIVER, pose.points(axes)))
        parts = (*around, *organs, *tumours)
        return cls(pose, build, parts, couch_mm, (float(slices[0]), float(slices[-1])))

    @property
    def width_mm(self) -> float:
        """Width of the body."""
        return 2 * self.pose.scale * (self.build.cavity[0] + self.build.wall + self.build.fat)

    def paint(self, axes: Axes, values: dict[str, float] | None) -> tuple[np.ndarray, np.ndarray]:
        """Sample the patient on a grid.

        Args:
            axes: (z, y, x) in mm, ascending.
            values: by tissue; None paints the labels only.

        Returns:
            Values (Z, R, C) float32, mixed across surfaces by the pixel's size, and labels
            (Z, R, C) uint8 at the voxels' centres.
        """
        points = with_body_depths(self.pose.points(axes), self.build)
        image = np.zeros(points.x.shape, np.float32)
        labels = np.zeros(points.x.shape, np.uint8)
        sharp = np.float32(1 / (axes[2][1] - axes[2][0]))
        if values is not None:
            image += values["air"]
            couch = _couch(self.couch_mm, axes)
            image += couch * (values["couch"] - values["air"])
        for part in self.parts:
            box = self.pose.box(part, axes)
            if box is None:
                continue
            depth = part.depth(points.crop(box))
            if part.label is not None:
                labels[box][depth > 0] = part.label
            if values is not None:
                _blend(image[box], depth * sharp, values[part.tissue])
                if part.core is not None:
                    tissue, begins = part.core
                    _blend(image[box], (depth - begins) * sharp, values[tissue])
        return image, labels


def _blend(image: np.ndarray, depth: np.ndarray, value: float) -> None:
    """Mix a value into an image, by the depth below the surface in pixels."""
    share = depth + np.float32(0.5)
    np.clip(share, 0, 1, out=share)
    share *= np.float32(value) - image
    image += share


def _couch(top_mm: float, axes: Axes) -> np.ndarray:
    """The share of the table in each voxel of a slice: (R, C)."""
    y, x = axes[1][:, None], axes[2][None, :]
    middle = top_mm + 12 - x**2 / 1400
    shell = np.abs(np.abs(y - middle) - 9)
    return np.clip(2.0 - shell, 0, 1).astype(np.float32) * (np.abs(x) < 195)


def _draw_tumours(
    rng: np.random.Generator, count: int, liver: tuple[np.ndarray, Points]
) -> list[PhantomPart]:
    """Tumours that keep clear of the liver's surface and of each other.

    Args:
        rng: random numbers.
        count: of tumours.
        liver: mask and points on a grid of COARSE_MM.
    """
    mask, points = liver
    room = ndimage.distance_transform_edt(mask, sampling=COARSE_MM)
    places = np.stack([points.x, points.y, points.z], -1)
    tumours = []
    for index in range(count):
        wanted = 4 * 5 ** (rng.random() ** 1.5)
        radius = min(wanted, (float(room.max()) - COARSE_MM) / 1.2)
        if radius < 3.5:
            break
        fitting = np.flatnonzero(room.ravel() >= 1.15 * radius + COARSE_MM)
        centre = places.reshape(-1, 3)[rng.choice(fitting)]
        radii = tuple(radius * rng.uniform(0.8, 1.1, 3))
        tumours.append(tumour_part(tuple(map(float, centre)), radii, index % 32))
        away = np.linalg.norm(places - centre, axis=-1) - radius
        room = np.minimum(room, away)
    return tumours
