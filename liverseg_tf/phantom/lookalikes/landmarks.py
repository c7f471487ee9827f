"""The typical places of focal fat, and points at which fissures enter an organ.

Neither ligaments nor the gallbladder are labelled in most data sets, so that they are found by
their usual place in a liver, from right to left, front to back and bottom to top of its extent.
"""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.phantom.lesions.placement import OrganMap


@dataclass(frozen=True)
class _Landmark:
    """A part of the organ.

    Args:
        part: Lowest and highest share of its extent along z (from below), row (from the front) and
            column (from the patient's right).
        surface_mm: Smallest and largest distance from the surface.
        vessel_mm: Smallest and largest distance from large vessels.
    """

    part: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    surface_mm: tuple[float, float] = (0.0, 9.0)
    vessel_mm: tuple[float, float] = (0.0, np.inf)


LANDMARKS = {
    "falciform ligament": _Landmark(((0.15, 0.85), (0.0, 0.45), (0.42, 0.75))),
    "gallbladder fossa": _Landmark(((0.05, 0.5), (0.25, 0.75), (0.25, 0.6))),
    "portal vein": _Landmark(
        ((0.2, 0.7), (0.3, 0.8), (0.35, 0.7)), surface_mm=(0.0, 30.0), vessel_mm=(1.0, 8.0)
    ),
}


def choose_landmark(
    rng: np.random.Generator, organ: OrganMap, slices: tuple[int, int] | None
) -> np.ndarray | None:
    """Choose a place beside one of the landmarks.

    Args:
        rng: Generator.
        organ: The organ.
        slices: First slice and the one after the last; None: all.

    Returns:
        (3,) float64 (z, row, column) in mm from the first voxel; None if there is no such place.
    """
    lowest, highest = organ.ends
    chosen = organ.in_slices(slices)
    places = organ.places[chosen]
    surface, vessel = organ.surface_mm[chosen], organ.vessel_mm[chosen]
    part = (places - lowest) / np.maximum(highest - lowest, 1)
    names = list(LANDMARKS)
    for number in rng.permutation(len(names)):
        mark = LANDMARKS[names[number]]
        low, high = np.array(mark.part).T
        near = ((part >= low) & (part <= high)).all(axis=1)
        near &= (surface >= mark.surface_mm[0]) & (surface <= mark.surface_mm[1])
        near &= (vessel >= mark.vessel_mm[0]) & (vessel <= mark.vessel_mm[1])
        found = np.flatnonzero(near)
        if len(found):
            return (places[found[rng.integers(len(found))]] + 0.0) * organ.spacing_mm
    return None


def choose_entry(
    rng: np.random.Generator, organ: OrganMap, length_mm: float, slices: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Choose a point at the surface and a direction into the organ.

    Args:
        rng: Generator.
        organ: The organ.
        length_mm: How far the organ has to continue in this direction.
        slices: First slice and the one after the last of the point; None: all.

    Returns:
        The point, (3,) float64 (z, row, column) in mm from the first voxel, and the direction, a
        vector in mm; None if the organ is too small.
    """
    chosen = organ.in_slices(slices)
    places = organ.places[chosen] * np.array(organ.spacing_mm)
    surface = organ.surface_mm[chosen]
    outer, inner = np.flatnonzero(surface <= 5), np.flatnonzero(surface > 5)
    if not len(outer) or not len(inner):
        return None
    start = places[outer[rng.integers(len(outer))]]
    candidates = inner[rng.integers(len(inner), size=24)]
    vectors = places[candidates] - start
    distance = np.linalg.norm(vectors, axis=1)
    within = (distance > 0.6 * length_mm) & (distance < 1.8 * length_mm)
    if not within.any():
        return None
    # the deepest of some points: towards the middle of the organ
    best = np.where(within, surface[candidates], -1).argmax()
    return start, vectors[best]
