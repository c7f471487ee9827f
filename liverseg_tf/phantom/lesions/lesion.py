"""A lesion: its place, shape and look, and the random textures of its tissue."""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.phantom.lesions.appearance import Appearance, draw_appearance, draw_kind
from liverseg_tf.phantom.lesions.fields import LocalField
from liverseg_tf.phantom.lesions.shape import LesionShape
from liverseg_tf.phantom.lesions.spec import LesionSpec

_SPREAD = 0.62  # standard deviation of the logarithm of the diameter
_MEDIAN = 0.4  # its median, between the logarithms of the limits
CALCIUM_HU = (120.0, 500.0)


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion without its place.

    Args:
        shape: Its shape.
        look: Its intensities.
        coarse: Coarse texture.
        fine: Fine texture.
        uneven: Field that makes the border of the centre uneven.
        calcium: (n, 5) of each calcification: place along z, row and column in mm from the
            lesion's centre, radius in mm, and HU.
    """

    shape: LesionShape
    look: Appearance
    coarse: LocalField
    fine: LocalField
    uneven: LocalField
    calcium: np.ndarray


def draw_diameter(rng: np.random.Generator, spec: LesionSpec) -> float:
    """Draw a diameter in mm of a log-normal distribution between the limits of the spec."""
    low, high = np.log(spec.diameter_mm)
    if high - low < 1e-6:
        return float(spec.diameter_mm[0])
    for _ in range(64):
        value = rng.normal(low + _MEDIAN * (high - low), _SPREAD)
        if low <= value <= high:
            return float(np.exp(value))
    return float(np.exp(rng.uniform(low, high)))  # limits that are close to each other


def draw_lesion(
    rng: np.random.Generator, spec: LesionSpec, diameter_mm: float, level_hu: float, noise_hu: float
) -> Lesion:
    """Draw a lesion.

    Args:
        rng: Generator of the lesion.
        spec: Settings.
        diameter_mm: Diameter of a ball of about the same volume.
        level_hu: Intensity of the organ.
        noise_hu: Standard deviation of its noise.
    """
    kind = draw_kind(rng, spec.phase, spec.kinds, diameter_mm)
    shape = LesionShape.draw(rng, diameter_mm)
    radius, reach = shape.radius_mm, shape.reach_mm
    look = draw_appearance(rng, (kind, spec.phase), radius, level_hu, noise_hu)
    count = look.calcifications
    # in a group somewhere in the lesion
    places = rng.normal(0, 0.2 * radius, (1, 3)) + rng.normal(0, 0.25 * radius, (count, 3))
    sizes = np.clip(rng.lognormal(np.log(0.9), 0.35, count), 0.5, 0.2 * radius + 0.5)
    return Lesion(
        shape,
        look,
        LocalField.draw(rng, reach, max(0.4 * radius, 3.0)),
        LocalField.draw(rng, reach, max(radius / 8, 2.2)),
        LocalField.draw(rng, reach, max(0.5 * radius, 2.5)),
        np.column_stack([places, sizes, rng.uniform(*CALCIUM_HU, count)]),
    )
