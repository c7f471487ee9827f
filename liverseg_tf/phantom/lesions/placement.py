"""Where lesions may lie: inside an organ, away from large vessels and, as chosen, its surface."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.phantom.lesions.spec import LesionSpec

_STEP_MM = 2.5  # distance of the places that are considered, within slices
_SMOOTH_MM = 1.5
_VESSEL_HU = 14.0  # the least contrast of a vessel
_VESSEL_STDS = 2.3
_VESSEL_MARGIN_MM = 7.0
_ENOUGH = 50  # places


@dataclass(frozen=True, eq=False)
class OrganMap:
    """The places in an organ at which a lesion may have its centre.

    Args:
        places: (n, 3) int32 voxels (z, row, col), sorted by z.
        surface_mm: (n,) float32 distance of each place to the organ's surface.
        vessel_mm: (n,) float32 distance to the next large vessel or labelled lesion.
        level_hu: Intensity of the organ: the median.
        noise_hu: Standard deviation of its noise, estimated robustly.
        spacing_mm: (z, row, col) of the voxels.
    """

    places: np.ndarray
    surface_mm: np.ndarray
    vessel_mm: np.ndarray
    level_hu: float
    noise_hu: float
    spacing_mm: tuple[float, float, float]

    @classmethod
    def of(
        cls,
        image: np.ndarray,
        labels: np.ndarray,
        spacing_mm: tuple[float, float, float],
        spec: LesionSpec,
    ) -> "OrganMap | None":
        """Find the places in a volume; None if it has no voxel of the organ.

        Vessels are bright or dark parts of the smoothed organ: a threshold suffices, since all
        that matters is to avoid most of the large ones.

        Args:
            image: (z, row, col) HU.
            labels: (z, row, col) uint8.
            spacing_mm: (z, row, col) of the voxels.
            spec: Labels of the organ and of lesions.
        """
        organ = np.isin(labels, spec.organ)
        box = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in bounding_box(organ))
        if not organ.any():
            return None
        step = [max(1, round(_STEP_MM / mm)) for mm in spacing_mm[1:]]
        coarse = (slice(None), *(slice(n // 2, None, n) for n in step))
        organ = organ[box][coarse]
        if not organ.any():
            return None
        spacing = (spacing_mm[0], *(mm * n for mm, n in zip(spacing_mm[1:], step, strict=True)))
        sigma = (0, *(_SMOOTH_MM / mm for mm in spacing_mm[1:]))
        original = image[box].astype(np.float32)
        values = ndimage.gaussian_filter(original, sigma, truncate=2)[coarse]
        level = float(np.median(values[organ]))
        noise = np.median(np.abs(original[coarse][organ] - values[organ]))
        deviation = np.abs(values - level)
        spread = 1.4826 * float(np.median(deviation[organ]))
        vessel = organ & (deviation > max(_VESSEL_HU, _VESSEL_STDS * spread))
        vessel = ndimage.binary_opening(vessel, np.ones((1, 2, 2), bool))
        vessel |= labels[box][coarse] == spec.lesion
        padded = np.pad(organ, 1)  # the organ ends where the volume ends
        surface = ndimage.distance_transform_edt(padded, spacing)[1:-1, 1:-1, 1:-1]
        away = np.full(organ.shape, 1e3, np.float32)
        if vessel.any():
            away = ndimage.distance_transform_edt(~vessel, spacing)
        places = np.argwhere(organ)
        index = tuple(places.T)
        first = [part.start + n // 2 for part, n in zip(box, (0, *step), strict=True)]
        places = places * (1, *step) + first
        return cls(
            places.astype(np.int32),
            surface[index].astype(np.float32),
            away[index].astype(np.float32),
            level,
            1.4826 * float(noise),
            (float(spacing_mm[0]), float(spacing_mm[1]), float(spacing_mm[2])),
        )

    @cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest voxel of the places, (3,) each."""
        return self.places.min(axis=0), self.places.max(axis=0)

    def in_slices(self, slices: tuple[int, int] | None) -> slice:
        """Return the part of the places in some slices.

        Args:
            slices: First slice and the one after the last; None: all.
        """
        if slices is None:
            return slice(None)
        return slice(*np.searchsorted(self.places[:, 0], slices).tolist())

    def choose(
        self,
        rng: np.random.Generator,
        radius_mm: float,
        place: str,
        near_mm: tuple[np.ndarray, float] | None = None,
        slices: tuple[int, int] | None = None,
    ) -> np.ndarray | None:
        """Choose a centre.

        Args:
            rng: Generator.
            radius_mm: Radius of the lesion.
            place: As in `LesionSpec`.
            near_mm: Point (z, row, col) in mm, and the largest distance from it; None: anywhere.
            slices: First slice and the one after the last; None: all.

        Returns:
            (3,) float64 (z, row, col) in mm from the first voxel, or None if the organ is too
            small for this lesion.
        """
        chosen = self.in_slices(slices)
        surface, vessel = self.surface_mm[chosen], self.vessel_mm[chosen]
        allowed = _depth_rule(surface, radius_mm, place)
        if near_mm is not None:
            points = self.places[chosen] * np.array(self.spacing_mm, np.float32)
            allowed &= ((points - near_mm[0]) ** 2).sum(axis=1) <= near_mm[1] ** 2
        margin = min(0.8 * radius_mm, _VESSEL_MARGIN_MM)
        enough = max(1, min(_ENOUGH, int(allowed.sum()) // _ENOUGH))
        for share in (1.0, 0.5, 0.2, 0.0):  # a small organ may have no place away from vessels
            found = np.flatnonzero(allowed & (vessel >= share * margin))
            if len(found) >= enough:
                place_of = self.places[chosen][found[rng.integers(len(found))]]
                return (place_of + rng.uniform(-0.5, 0.5, 3)) * self.spacing_mm
        return None


def _depth_rule(surface_mm: np.ndarray, radius_mm: float, place: str) -> np.ndarray:
    if place == "inside":
        return surface_mm >= 1.25 * radius_mm
    if place == "surface":
        return (surface_mm >= 0.35 * radius_mm) & (surface_mm <= 0.9 * radius_mm)
    return surface_mm >= 0.5 * radius_mm
