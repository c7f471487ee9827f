"""The fingerprint of a data set: what the settings of tiles and training depend on."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

import numpy as np

from liverseg_tf.ct.regions import Regions

Pair = tuple[float, float]


@dataclass(frozen=True)
class RegionFingerprint:
    """A region in one case that labels it and contains it.

    Args:
        volume_ml: Volume.
        extent_mm: Extent (z, row, col) of its bounding box.
        reach_mm: Distance (row, col) of its farthest voxel from the centre of the body.
        slices: Number of slices that contain it.
        width_mm: Mean width in a slice: four times its area, divided by its circumference. The
            diameter of a disc, and twice the width of a long strip.
        components: Number of connected components; of large regions on a coarser grid.
        percentiles: Intensity at 0.5, 5, 50, 95 and 99.5 %; empty if no voxel was sampled.
    """

    volume_ml: float
    extent_mm: tuple[float, float, float]
    reach_mm: Pair
    slices: int
    width_mm: float
    components: int
    percentiles: tuple[float, ...]


@dataclass(frozen=True)
class CaseFingerprint:
    """One case.

    Args:
        name: Name of the case.
        shape: Shape (z, row, col) in canonical order.
        spacing_mm: Spacing (z, row, col) in canonical order.
        voxel_bytes: Bytes per voxel of the image in memory.
        body_mm: Size (rows, cols) of a tile that holds the body; of images without HU, what is
            not background.
        clipped_hu: Lowest and highest HU if HU were clipped there; None for an end that was not.
        known_slices: Number of slices of which something is known.
        labelled: Names of the regions that the mask of the case labels.
        regions: Regions that occur, by name.
        unnamed_labels: Labels that belong to no region.
    """

    name: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    voxel_bytes: int
    body_mm: Pair
    clipped_hu: tuple[float | None, float | None]
    known_slices: int
    labelled: tuple[str, ...]
    regions: dict[str, RegionFingerprint]
    unnamed_labels: tuple[int, ...] = ()

    @property
    def field_mm(self) -> Pair:
        """Size (rows, cols) of a slice."""
        _, rows, cols = self.shape
        _, row_mm, col_mm = self.spacing_mm
        return rows * row_mm, cols * col_mm


@dataclass(frozen=True)
class RegionSummary:
    """A region in all cases.

    Args:
        name: Name of the region.
        labelled: Number of cases whose masks label it.
        cases: Number of cases that contain it.
        nested: Whether it lies inside another region.
        volume_ml: Median volume.
        extent_mm: Largest extent (z, row, col).
        reach_mm: Largest distance (row, col) of a voxel from the centre of the body.
        slice_share: Fraction of the slices of the cases that label it that contain it.
        width_mm: Median of its width; see `RegionFingerprint`.
        components: Median number of connected components.
        percentiles: Medians of the intensity at 0.5, 5, 50, 95 and 99.5 %.
    """

    name: str
    labelled: int
    cases: int
    nested: bool
    volume_ml: float
    extent_mm: tuple[float, ...]
    reach_mm: tuple[float, ...]
    slice_share: float
    width_mm: float
    components: float
    percentiles: tuple[float, ...]


@dataclass(frozen=True)
class Fingerprint:
    """A data set.

    Args:
        cases: At least one case, in natural order.
        regions: Regions, each of which occurs in a case.
        has_hu: Whether the images are in HU (CT).
    """

    cases: tuple[CaseFingerprint, ...]
    regions: Regions
    has_hu: bool

    @property
    def pixel_mm(self) -> float:
        """Median of the larger pixel spacing in-plane."""
        return median(max(case.spacing_mm[1:]) for case in self.cases)

    @property
    def slice_mm(self) -> tuple[float, float, float]:
        """Minimum, median and maximum of the slice spacing."""
        spacings = [case.spacing_mm[0] for case in self.cases]
        return min(spacings), median(spacings), max(spacings)

    @property
    def slices(self) -> int:
        """Number of slices of all cases."""
        return sum(case.shape[0] for case in self.cases)

    def summary(self, name: str) -> RegionSummary:
        """Summarise a region over the cases."""
        knowing = [case for case in self.cases if name in case.labelled]
        found = [case.regions[name] for case in knowing if name in case.regions]
        slices = sum(case.known_slices for case in knowing)
        return RegionSummary(
            name=name,
            labelled=len(knowing),
            cases=len(found),
            nested=bool(self.regions.containing(name)),
            volume_ml=median(one.volume_ml for one in found),
            extent_mm=_maxima(one.extent_mm for one in found),
            reach_mm=_maxima(one.reach_mm for one in found),
            slice_share=sum(one.slices for one in found) / max(1, slices),
            width_mm=median(one.width_mm for one in found),
            components=median(one.components for one in found),
            percentiles=_medians(one.percentiles for one in found if one.percentiles),
        )

    def summaries(self) -> list[RegionSummary]:
        """Summarise every region."""
        return [self.summary(name) for name in self.regions.names]


def _maxima(rows: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(map(max, zip(*rows, strict=True)))


def _medians(rows: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
    values = list(rows)
    return tuple(map(float, np.median(values, axis=0))) if values else ()
