"""Structures that look like lesions: their kinds, places, forms and intensities."""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.phantom.lesions.placement import OrganMap
from liverseg_tf.phantom.lesions.shape import LesionShape
from liverseg_tf.phantom.lookalikes.forms import Sheet, Tree, Wedge
from liverseg_tf.phantom.lookalikes.landmarks import choose_entry, choose_landmark

CYST_HU = (-5.0, 20.0)
FAT_HU = (-110.0, -20.0)  # in fissures, of which many are thinner than a pixel
BLOOD_HU = (30.0, 50.0)  # without contrast agent
_CYST_MM = (4.0, 45.0)  # diameter
_FAT_MM = (10.0, 36.0)
_SHEET_MM = (10.0, 38.0)  # how far a fissure enters the organ
_VESSEL_MM = (2.0, 5.5)  # radius


@dataclass(frozen=True, eq=False)
class Lookalike:
    """A structure that looks like a lesion.

    Args:
        kind: One of `choices.LOOKALIKES` except 'dome', which is no structure of its own.
        form: Its form.
        centre_mm: (3,) place (z, row, column) from the first voxel.
        contrast_hu: Relative to the organ.
        edge_mm: Standard deviation of the blur of its border.
        keeps_vessels: Whether vessels of the organ run through it unchanged.
    """

    kind: str
    form: LesionShape | Wedge | Sheet | Tree
    centre_mm: np.ndarray
    contrast_hu: float
    edge_mm: float
    keeps_vessels: bool = False

    @property
    def reach_mm(self) -> float:
        """Distance from its centre beyond which an image stays as it is."""
        return self.form.reach_mm + 2 * self.edge_mm


def draw_lookalike(
    rng: np.random.Generator, kind: str, organ: OrganMap, middle: int | None = None
) -> Lookalike | None:
    """Draw a structure with its place.

    Args:
        rng: Generator of the structure.
        kind: As in `Lookalike`.
        organ: The organ.
        middle: Number of the slice that shows it; None: anywhere.

    Returns:
        The structure; None if the organ has no suitable place.
    """
    scale = float(np.clip(organ.level_hu, 30, 160))
    if kind == "cyst":
        diameter = _between(rng, _CYST_MM)
        centre = organ.choose(rng, diameter / 2, "any", slices=_near(middle, 0.4 * diameter, organ))
        shape = LesionShape.draw_smooth(rng, diameter)
        contrast = rng.uniform(*CYST_HU) - organ.level_hu
        return _at(kind, shape, centre, contrast, rng.uniform(0.4, 0.9))
    if kind == "fat":
        radius = _between(rng, _FAT_MM) / 2
        centre = choose_landmark(rng, organ, _near(middle, 0.6 * radius, organ))
        contrast = -scale * rng.uniform(0.12, 0.45)
        look = contrast, rng.uniform(0.8, 2.2)
        return _at(kind, Wedge.draw(rng, radius), centre, *look, keeps_vessels=True)
    if kind == "fissure":
        length = _between(rng, _SHEET_MM)
        half_width = rng.uniform(6, 20)
        entry = choose_entry(rng, organ, length, _near(middle, 0.7 * half_width, organ))
        if entry is None:
            return None
        centre, inward = entry
        sheet = Sheet.draw(rng, inward, length, half_width)
        return _at(kind, sheet, centre, rng.uniform(*FAT_HU) - organ.level_hu, 0.8)
    radius = _between(rng, _VESSEL_MM)
    tree = Tree.draw(rng, radius, rng.uniform(5, 9) * radius)
    centre = organ.choose(rng, radius, "inside", slices=_near(middle, radius, organ))
    contrast = min(rng.uniform(*BLOOD_HU) - organ.level_hu, -0.1 * scale)
    return _at("vessel", tree, centre, contrast, rng.uniform(0.6, 1.4))


def _at(kind, form, centre, contrast, edge_mm, keeps_vessels=False) -> Lookalike | None:
    if centre is None:
        return None
    return Lookalike(kind, form, centre, float(contrast), float(edge_mm), keeps_vessels)


def _between(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """Draw a size between two limits, small ones more often."""
    low, high = np.log(limits)
    return float(np.exp(low + (high - low) * rng.beta(1.6, 2)))


def _near(middle: int | None, mm: float, organ: OrganMap) -> tuple[int, int] | None:
    """Return the first slice and the one after the last that are at most so far away."""
    if middle is None:
        return None
    reach = int(mm / organ.spacing_mm[0])
    return middle - reach, middle + reach + 1
