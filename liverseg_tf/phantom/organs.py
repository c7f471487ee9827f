"""The organs of a phantom: bowel, liver with vessels and tumours, spleen and kidneys."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from liverseg_tf.phantom.body import BodyShape, PhantomPart, Vector
from liverseg_tf.phantom.shapes import Points, ellipsoid, tube

LIVER, TUMOUR, SPLEEN, KIDNEY = 1, 2, 3, 4


def bowel_parts(rng: np.random.Generator, body: BodyShape) -> list[PhantomPart]:
    """Make bowel loops and the stomach, with gas at the front (the patient lies on the back)."""
    width, thickness = body.cavity_radii_mm
    parts = []
    for _ in range(60):
        centre = tuple(rng.uniform((-width, -thickness, -150), (width, 36, 10)))
        radius = rng.uniform(14, 28)
        radii = tuple(radius * rng.uniform(0.75, 1.35, 3))
        kind = rng.choice(["fluid", "chyme", "stool", "contrasted"], p=[0.15, 0.4, 0.3, 0.15])
        parts += _bowel_loop(centre, radii, str(kind), -0.5 if rng.random() < 0.35 else 2)
    centre = (rng.uniform(54, 66), rng.uniform(-24, -8), rng.uniform(-6, 12))
    radii = (rng.uniform(32, 40), rng.uniform(38, 46), rng.uniform(46, 60))
    kind = "chyme" if rng.random() < 0.6 else "fluid"
    return parts + _bowel_loop(centre, radii, kind, -rng.uniform(0.2, 0.6))


def organ_parts(rng: np.random.Generator, body: BodyShape) -> list[PhantomPart]:
    """Make the liver with its vessels, the gallbladder, the spleen and the kidneys."""
    width, thickness = body.cavity_radii_mm
    spleen = (width - rng.uniform(30, 38), rng.uniform(20, 36), rng.uniform(14, 32))
    reach = tuple(rng.uniform((30, 42, 42), (38, 54, 56)))

    def rim(points: Points) -> np.ndarray:
        inside = np.minimum(points.depths["abdomen"] - 0.5, points.depths["cavity"])
        return np.minimum(points.depths["liver"] + 1.0 + 8 * points.depths["seam"], inside)

    def spleen_depth(points: Points) -> np.ndarray:
        whole = ellipsoid(points, spleen, reach) + 4 * points.depths["ripple"]
        return np.minimum(whole, np.minimum(points.depths["abdomen"] - 1, points.depths["cavity"]))

    box = ((-145, -105, -130), (125, 105, 110))
    parts = [
        _ellipsoid_part("spleen", spleen, reach, spleen_depth, SPLEEN),
        PhantomPart("fat", rim, box),
        PhantomPart("liver", lambda points: points.depths["liver"], box, LIVER),
    ]
    parts += _vessels(rng)
    if rng.random() < 0.75:
        centre = (rng.uniform(-46, -32), rng.uniform(-34, -18), rng.uniform(-58, -46))
        parts.append(
            _ellipsoid_part("bile", centre, tuple(rng.uniform((11, 13, 20), (16, 20, 30))))
        )
    for side in (-1, 1):
        centre = (side * rng.uniform(54, 61), thickness - rng.uniform(35, 42), -46 + 14 * side)
        size = rng.uniform(0.9, 1.12)
        hilum = (centre[0] - side * 12 * size, centre[1] - 4, centre[2])
        parts += [
            _ellipsoid_part("cortex", centre, (26 * size, 27 * size, 51 * size), label=KIDNEY),
            _ellipsoid_part("medulla", centre, (18 * size, 18 * size, 41 * size), label=KIDNEY),
            _ellipsoid_part("sinus", hilum, (15 * size, 9 * size, 22 * size), label=KIDNEY),
        ]
    return parts


def tumour_part(centre: Vector, radii: Vector, index: int) -> PhantomPart:
    """Make a tumour in the liver, with the intensity of the tissue `tumour_<index>`."""

    def depth(points: Points) -> np.ndarray:
        whole = ellipsoid(points, centre, radii) + 0.12 * min(radii) * points.depths["seam"]
        return np.minimum(whole, points.depths["liver"] - 2)

    return _ellipsoid_part(f"tumour_{index}", centre, radii, depth, TUMOUR)


def _vessels(rng: np.random.Generator) -> list[PhantomPart]:
    """Make hepatic veins that drain into the vena cava, and portal branches from the hilum."""
    trees = [
        ("vein", (-20, 20, 58), [(-95, 10, 20), (-60, -50, 10), (-5, -50, 25)], (5.5, 2.0)),
        ("portal", (-26, 0, 2), [(-85, 38, 14), (-88, -25, -6), (-10, -40, 26)], (6.5, 2.2)),
    ]
    parts = []
    for tissue, root, ends, radii in trees:
        for end in ends:
            start, stop = np.array(root, float), np.array(end) + rng.normal(0, 8, 3)
            bend = (start + stop) / 2 + rng.normal(0, 7, 3)
            tip = stop + (stop - bend) * 0.4 + rng.normal(0, 10, 3)
            parts.append(_vessel_part(tissue, np.array([start, bend, stop]), radii))
            parts.append(_vessel_part(tissue, np.array([bend, (bend + tip) / 2, tip]), (3.0, 1.5)))
    return parts


def _vessel_part(tissue: str, path: np.ndarray, radii: tuple[float, float]) -> PhantomPart:
    def depth(points: Points) -> np.ndarray:
        return np.minimum(tube(points, path, radii), points.depths["liver"] - 1)

    low, high = path.min(0) - max(radii) - 2, path.max(0) + max(radii) + 2
    return PhantomPart(tissue, depth, (tuple(low), tuple(high)), None)


def _bowel_loop(centre: Vector, radii: Vector, kind: str, level: float) -> list[PhantomPart]:
    """Make a bowel loop with contents.

    Gas fills the part in front of `level`, in radii from the centre; above 1 there is no gas.
    """

    def wall(points: Points) -> np.ndarray:
        return np.minimum(
            ellipsoid(points, centre, radii) + 3 * points.depths["seam"],
            np.minimum(points.depths["cavity"], points.depths["abdomen"] - 1),
        )

    def gas(points: Points) -> np.ndarray:
        return np.minimum(wall(points) - 3, centre[1] + level * radii[1] - points.y)

    loop = replace(_ellipsoid_part("wall", centre, radii, wall), core=(kind, 3))
    return [loop] if level > 1 else [loop, _ellipsoid_part("gas", centre, radii, gas)]


def _ellipsoid_part(
    tissue: str,
    centre: Vector,
    radii: Vector,
    depth: Callable[[Points], np.ndarray] | None = None,
    label: int = 0,
) -> PhantomPart:
    def plain(points: Points) -> np.ndarray:
        return ellipsoid(points, centre, radii)

    (x, y, z), (x_radius, y_radius, z_radius) = centre, radii
    low = (x - 1.1 * x_radius - 6, y - 1.1 * y_radius - 6, z - 1.1 * z_radius - 6)
    high = (x + 1.1 * x_radius + 6, y + 1.1 * y_radius + 6, z + 1.1 * z_radius + 6)
    return PhantomPart(tissue, depth or plain, (low, high), label)
