"""The body of a phantom: its shape, and the tissues around the organs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from liverseg_tf.phantom.shapes import (
    Points,
    ellipsoid,
    elliptic_cylinder,
    smooth_intersection,
    smooth_union,
    superelliptic_cylinder,
    tube,
)

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class PhantomPart:
    """The shape of one tissue. Parts are painted one over the other.

    Args:
        tissue: Name of the tissue in the table of intensities.
        depth: Function that returns the depth below the surface in mm, positive inside.
        box: Lowest and highest (x, y, z) in mm of the part. None for no limit.
        label: Value in the label map. None leaves the label map unchanged.
        core: Name of a second tissue inside the first, and the depth in mm at which it begins.
    """

    tissue: str
    depth: Callable[[Points], np.ndarray]
    box: tuple[Vector, Vector] | None = None
    label: int | None = 0
    core: tuple[str, float] | None = None


@dataclass(frozen=True)
class BodyShape:
    """The shape of a patient's body and liver.

    Args:
        cavity_radii_mm: Radii (x, y) of the cavity inside the muscles.
        wall_mm: Thickness of the muscles.
        fat_mm: Thickness of the subcutaneous fat.
        liver_scale: Scale of the liver.
        dome_mm: Height of the dome of the right diaphragm.
        liver_tilt: Slope of the inferior surface of the liver.
        liver_lean_mm: Shift of the left lobe of the liver to the patient's left.
        liver_gap_mm: Distance between the liver and the wall of the cavity.
    """

    cavity_radii_mm: tuple[float, float]
    wall_mm: float
    fat_mm: float
    liver_scale: float
    dome_mm: float
    liver_tilt: float
    liver_lean_mm: float
    liver_gap_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "BodyShape":
        """Draw a random body."""
        return cls(
            cavity_radii_mm=(rng.uniform(126, 140), rng.uniform(86, 97)),
            wall_mm=rng.uniform(9, 14),
            fat_mm=rng.uniform(7, 26),
            liver_scale=rng.uniform(0.82, 0.96),
            dome_mm=rng.uniform(78, 92),
            liver_tilt=rng.uniform(0.5, 0.68),
            liver_lean_mm=rng.uniform(-10, 14),
            liver_gap_mm=rng.uniform(-0.6, 0.8),
        )


def add_body_depths(points: Points, body: BodyShape) -> Points:
    """Add the depths that several parts share: cavity, abdomen (below the diaphragm) and liver."""
    width, thickness = body.cavity_radii_mm
    cavity = superelliptic_cylinder(points, body.cavity_radii_mm)
    upper = Points(np.maximum(points.z + 10, 0), points.y, points.x)
    right = ellipsoid(upper, (-55, 4, 0), (width - 48, thickness, body.dome_mm))
    left = ellipsoid(upper, (58, 6, 0), (width - 52, thickness - 2, body.dome_mm - 12))
    middle = ellipsoid(upper, (0, 0, 0), (70, thickness - 4, body.dome_mm - 26))
    abdomen = smooth_union(smooth_union(right, left, 12), middle, 12)
    points = points.with_depth("cavity", cavity).with_depth("abdomen", abdomen)
    return points.with_depth("liver", _liver(points, body))


def _liver(points: Points, body: BodyShape) -> np.ndarray:
    size = body.liver_scale
    top = body.dome_mm + 2 - 90 * size
    right = ellipsoid(points, (-63, 2, top), (80 * size, 92 * size, 90 * size))
    left = ellipsoid(points, (12 + body.liver_lean_mm, -40, 22), (78 * size, 38 * size, 42 * size))
    below = np.array([body.liver_tilt, 0.3, -0.8])
    below = (below / np.linalg.norm(below)).astype(np.float32)
    face = (
        20
        + 0.6 * body.liver_lean_mm
        - (below[0] * points.x + below[1] * points.y + below[2] * points.z)
    )
    back = -elliptic_cylinder(points, (10, 64), (56, 54))
    lobes = smooth_intersection(smooth_union(right, left, 25), face, 22)
    lobes = smooth_intersection(lobes, back, 12) + 5 * points.depths["ripple"]
    inside = np.minimum(points.depths["abdomen"] - 0.5, points.depths["cavity"] - body.liver_gap_mm)
    return smooth_intersection(lobes, inside, 3)


def torso_parts(rng: np.random.Generator, body: BodyShape) -> list[PhantomPart]:
    """Make fat, muscles, ribs, lungs, diaphragm and heart."""
    pitch, slant, phase = rng.uniform(24, 30), rng.uniform(0.4, 0.65), rng.uniform(0, 30)
    heart = (rng.uniform(8, 20), rng.uniform(-32, -20), body.dome_mm + 8)
    size = rng.uniform(0.9, 1.1)

    def rim(points: Points) -> np.ndarray:
        return points.depths["cavity"] + body.wall_mm + body.fat_mm * (1 + points.depths["ripple"])

    def lungs(points: Points) -> np.ndarray:
        chest = np.minimum(points.depths["cavity"] - 2, -3.5 - points.depths["abdomen"])
        return np.minimum(
            np.minimum(chest, points.z + 10), -elliptic_cylinder(points, (4, 40), (34, 60))
        )

    def ribs(points: Points) -> np.ndarray:
        place = (points.z + slant * points.y + phase) % pitch - pitch / 2
        ring = points.depths["cavity"] + body.wall_mm * 0.5
        depth = 5 - np.sqrt(ring**2 + (0.75 * place) ** 2)
        ends = np.minimum(points.y + 62, points.z - 0.8 * points.y + 70)
        return np.minimum(depth, np.minimum(ends, np.abs(points.x) - 22))

    def heart_depth(points: Points) -> np.ndarray:
        whole = ellipsoid(points, heart, (60 * size, 52 * size, 48 * size))
        return np.minimum(whole, -2.0 - points.depths["abdomen"])

    def diaphragm(points: Points) -> np.ndarray:
        shell = 1.8 - np.abs(points.depths["abdomen"] + 1.8)
        return np.minimum(np.minimum(shell, points.depths["cavity"] + 1), points.z + 12)

    cavity_box = ((-150, -110, -14), (150, 110, 300))
    return [
        PhantomPart("fat", rim),
        PhantomPart("muscle", lambda points: points.depths["cavity"] + body.wall_mm),
        PhantomPart("fat", lambda points: points.depths["cavity"]),
        PhantomPart("bone", ribs),
        PhantomPart("lung", lungs, cavity_box),
        PhantomPart("diaphragm", diaphragm, cavity_box),
        PhantomPart("heart", heart_depth, ((-80, -110, 0), (100, 60, 200))),
    ]


def spine_parts(rng: np.random.Generator, body: BodyShape) -> list[PhantomPart]:
    """Make psoas, back muscles, vertebrae with discs and canal, aorta and vena cava."""
    back, phase = body.cavity_radii_mm[1] - 38, rng.uniform(0, 35)
    radius = rng.uniform(18, 22)

    def upright(x: float, y: float, radii: tuple[float, float]) -> Callable:
        def depth(points: Points) -> np.ndarray:
            return elliptic_cylinder(points, (x, y), radii)

        return depth

    def bodies(points: Points) -> np.ndarray:
        disc = np.abs((points.z + phase) % 35 - 17.5)
        return np.minimum(upright(0, back, (radius * 1.1, radius))(points), 14.0 - disc)

    def arch(points: Points) -> np.ndarray:
        wings = upright(0, back + 24, (36, 6))(points)
        ring = upright(0, back + 26, (16, 13))(points)
        process = upright(0, back + 42, (4.5, 18))(points)
        gap = 9 - np.abs((points.z + phase) % 35 - 17.5)
        return np.maximum(np.maximum(ring, process), np.minimum(wings, gap))

    def psoas(points: Points) -> np.ndarray:
        sides = Points(points.z, points.y, np.abs(points.x))
        return ellipsoid(sides, (34, back + 4, -130), (20, 22, 100))

    def low_high(half: float) -> tuple[Vector, Vector]:
        return ((-half, back - 30, -400), (half, back + 75, 400))

    back_muscle = upright(0, back + 42, (74, 26))
    cava = np.array([[-16, back - 26, -300], [-18, back - 26, -60], [-22, back - 36, 60]])
    cava = np.vstack([cava, [-12, back - 44, 100]]).astype(np.float32)
    aorta = np.array([[6, back - 27, -300], [10, back - 28, 300]], np.float32)
    return [
        PhantomPart("muscle", psoas, ((-60, back - 30, -240), (60, back + 40, -20))),
        PhantomPart("muscle", back_muscle, low_high(80)),
        PhantomPart("bone", arch, low_high(40)),
        PhantomPart("canal", upright(0, back + 26, (10, 8)), low_high(12)),
        PhantomPart("disc", upright(0, back, (radius * 1.1, radius)), low_high(30)),
        PhantomPart("bone", bodies, low_high(30), core=("marrow", 2.5)),
        PhantomPart("aorta", lambda points: tube(points, aorta, (11, 11)), low_high(30)),
        PhantomPart(
            "cava", lambda points: tube(points, cava, (12, 12)), ((-40, -60, -400), (10, 80, 115))
        ),
    ]
