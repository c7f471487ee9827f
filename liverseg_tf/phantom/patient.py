"""The patient of a phantom: the same anatomy on any grid."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from liverseg_tf.phantom.body import (
    BodyShape,
    PhantomPart,
    add_body_depths,
    spine_parts,
    torso_parts,
)
from liverseg_tf.phantom.organs import LIVER, bowel_parts, organ_parts, tumour_part
from liverseg_tf.phantom.shapes import Box, Points, SmoothField

Axes = tuple[np.ndarray, np.ndarray, np.ndarray]
COARSE_MM = 6.0
WARP_MM = 7.0


@dataclass(frozen=True)
class Pose:
    """Size and position of the patient in the scanner: scale, rotation, shift and a smooth warp.

    Args:
        angle: Rotation in the axial plane, in radians.
        scale: Size relative to the average patient.
        shift: Position (x, y, z) of the centre of the body in mm.
        warps: Displacements along (x, y, z), in multiples of WARP_MM.
        ripple: Irregularity of the surfaces of organs.
        seam: Irregularity of the thickness of fat between organs.
    """

    angle: float
    scale: float
    shift: np.ndarray
    warps: tuple[SmoothField, ...]
    ripple: SmoothField
    seam: SmoothField

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Pose":
        """Draw a random pose."""
        return cls(
            angle=float(np.clip(rng.normal(0, 4), -10, 10)) * np.pi / 180,
            scale=rng.uniform(0.92, 1.05),
            shift=rng.uniform((-10, -10, -8), (10, 10, 8)),
            warps=tuple(SmoothField.draw(rng, 60) for _ in range(3)),
            ripple=SmoothField.draw(rng, 32),
            seam=SmoothField.draw(rng, 24),
        )

    def points(self, axes: Axes) -> Points:
        """Map the voxels of a grid to positions in the average patient.

        Args:
            axes: Coordinates (z, y, x) of the grid in mm.
        """
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
        """Find the voxels that a part can cover. None if they are all outside the grid."""
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
    """The complete anatomy of a patient, independent of any grid.

    Args:
        pose: Size and position of the patient in the scanner.
        body: Shape of the body.
        parts: Tissues, in the order in which they are painted.
        couch_mm: Position of the top of the couch, in mm to posterior.
        liver_mm: Positions of the lowest and the highest slice of the liver, in mm.
    """

    pose: Pose
    body: BodyShape
    parts: tuple[PhantomPart, ...]
    couch_mm: float
    liver_mm: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator, count: int | None) -> "Patient":
        """Draw a random patient with `count` tumours in the liver (None: 0 to 5)."""
        pose_rng, body_rng, part_rng, tumour_rng = rng.spawn(4)
        pose, body = Pose.draw(pose_rng), BodyShape.draw(body_rng)
        around = [*torso_parts(part_rng, body), *bowel_parts(part_rng, body)]
        organs = [*organ_parts(part_rng, body), *spine_parts(part_rng, body)]
        back = body.cavity_radii_mm[1] + body.wall_mm + body.fat_mm
        couch_mm = pose.shift[1] + back * pose.scale + 14
        z, y, x = (np.arange(-reach, reach + 1, COARSE_MM) for reach in (132, 120, 168))
        axes = (z, y, x)
        _, labels = cls(pose, body, tuple(organs), couch_mm, (0.0, 0.0)).paint(axes, None)
        slices = z[(labels == LIVER).any((1, 2))]
        count = int(tumour_rng.integers(0, 6)) if count is None else count
        tumours = _draw_tumours(tumour_rng, count, (labels == LIVER, pose.points(axes)))
        parts = (*around, *organs, *tumours)
        return cls(pose, body, parts, couch_mm, (float(slices[0]), float(slices[-1])))

    @property
    def width_mm(self) -> float:
        """Width of the body."""
        return (
            2
            * self.pose.scale
            * (self.body.cavity_radii_mm[0] + self.body.wall_mm + self.body.fat_mm)
        )

    def paint(self, axes: Axes, values: dict[str, float] | None) -> tuple[np.ndarray, np.ndarray]:
        """Sample the patient on a grid.

        Args:
            axes: Coordinates (z, y, x) of the grid in mm, ascending.
            values: Intensity of each tissue. None paints only the labels.

        Returns:
            Intensities (Z, R, C) float32, blended over one pixel at surfaces, and labels
            (Z, R, C) uint8 at the centres of the voxels.
        """
        points = add_body_depths(self.pose.points(axes), self.body)
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
    """Blend a value into an image, weighted by the depth below the surface in pixels."""
    weight = depth + np.float32(0.5)
    np.clip(weight, 0, 1, out=weight)
    weight *= np.float32(value) - image
    image += weight


def _couch(top_mm: float, axes: Axes) -> np.ndarray:
    """Fraction of the couch in each pixel of a slice: (R, C)."""
    y, x = axes[1][:, None], axes[2][None, :]
    middle = top_mm + 12 - x**2 / 1400
    shell = np.abs(np.abs(y - middle) - 9)
    return np.clip(2.0 - shell, 0, 1).astype(np.float32) * (np.abs(x) < 195)


def _draw_tumours(
    rng: np.random.Generator, count: int, liver: tuple[np.ndarray, Points]
) -> list[PhantomPart]:
    """Draw tumours that do not touch the surface of the liver or each other.

    Args:
        rng: Random number generator.
        count: Number of tumours; fewer are drawn if there is no room.
        liver: Mask and points of the liver on a grid of COARSE_MM.
    """
    mask, points = liver
    room = ndimage.distance_transform_edt(mask, sampling=COARSE_MM)
    places = np.stack([points.x, points.y, points.z], -1)
    tumours = []
    for index in range(count):
        drawn = 4 * 5 ** (rng.random() ** 1.5)
        radius = min(drawn, (float(room.max()) - COARSE_MM) / 1.2)
        if radius < 3.5:
            break
        candidates = np.flatnonzero(room.ravel() >= 1.15 * radius + COARSE_MM)
        centre = places.reshape(-1, 3)[rng.choice(candidates)]
        x, y, z = map(float, centre)
        radii = tuple(radius * rng.uniform(0.8, 1.1, 3))
        tumours.append(tumour_part((x, y, z), radii, index % 32))
        away = np.linalg.norm(places - centre, axis=-1) - radius
        room = np.minimum(room, away)
    return tumours
