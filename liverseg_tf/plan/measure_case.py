"""The fingerprint of one case, from its image and mask in memory."""

import math

import numpy as np

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.bounding_box import Box, bounding_box
from liverseg_tf.ct.components import label_components
from liverseg_tf.ct.intensity import BODY_HU, PercentileRange
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.check.measurements import CaseMeasurements
from liverseg_tf.plan.fingerprint import CaseFingerprint, Pair, RegionFingerprint
from liverseg_tf.tiles.transform import body_centre

_BODY_SLICES = 16
_BODY_TAIL = 0.005  # of the body's pixels on each side, such as those of a table
_ABOVE_CLIPPED_HU = 10
_WIDTH_SLICES = 32  # slices in which the width of a region is measured
_COMPONENT_VOXELS = 1 << 21  # larger boxes are reduced in-plane before components are counted


def fingerprint_case(
    name: str,
    volumes: tuple[Volume, Volume],
    measured: CaseMeasurements,
    annotation: Annotation,
    regions: Regions,
    has_hu: bool,
) -> CaseFingerprint:
    """Measure what the settings depend on.

    Args:
        name: Name of the case.
        volumes: Image and label map on one grid.
        measured: Measurements of `check`.
        annotation: What the mask labels.
        regions: Regions with their labels.
        has_hu: Whether the values are HU.
    """
    image, labels = (to_canonical(volume) for volume in volumes)
    floor = BODY_HU if has_hu else PercentileRange().window_of(image.array).lower_hu
    known = annotation.known_regions(regions)
    labelled = tuple(one for one, is_known in zip(regions.names, known, strict=True) if is_known)
    occurring = measured.labels or {}
    named = {label for _, of in regions.items for label in of}
    centre = body_centre(image, floor)
    return CaseFingerprint(
        name=name,
        shape=measured.shape,
        spacing_mm=measured.spacing_mm,
        voxel_bytes=measured.voxel_bytes,
        body_mm=_measure_body(image, _body_floor(floor, measured), centre),
        clipped_hu=(measured.intensities.clipped_below, measured.intensities.clipped_above),
        known_slices=_count_known_slices(labels.array, annotation.ignored),
        labelled=labelled,
        regions={
            one: _measure_region(regions.mask(labels.array, one), labels, centre, percentiles)
            for one, percentiles in (
                (one, _percentiles(dict(regions.items)[one], measured)) for one in labelled
            )
            if set(dict(regions.items)[one]) & occurring.keys()
        },
        unnamed_labels=tuple(
            label for label in occurring if label not in named and label != annotation.ignored
        ),
    )


def _measure_region(
    mask: np.ndarray, grid: Volume, centre: Pair, percentiles: tuple[float, ...]
) -> RegionFingerprint:
    """Measure a region.

    Args:
        mask: (z, row, col) bool, canonical order, not empty.
        grid: Volume with the grid of the mask.
        centre: Centre (row, col) of the body in pixels.
        percentiles: Percentiles of its intensities.
    """
    box = bounding_box(mask)
    mask = mask[box]
    spacing = grid.spacing_mm
    occupied = np.flatnonzero(mask.any(axis=(1, 2)))
    row, col = (
        max(abs(part.start - at), abs(part.stop - at)) * mm
        for part, at, mm in zip(box[1:], centre, spacing[1:], strict=True)
    )
    return RegionFingerprint(
        volume_ml=np.count_nonzero(mask) * grid.voxel_volume_ml,
        extent_mm=_size_mm(box, spacing),
        reach_mm=(row, col),
        slices=len(occupied),
        width_mm=_measure_width(mask[_spread(occupied, _WIDTH_SLICES)], spacing[1:]),
        components=label_components(_reduce(mask)).count,
        percentiles=percentiles,
    )


def _size_mm(box: Box, spacing: tuple[float, float, float]) -> tuple[float, float, float]:
    z, row, col = ((part.stop - part.start) * mm for part, mm in zip(box, spacing, strict=True))
    return z, row, col


def _spread(indices: np.ndarray, count: int) -> np.ndarray:
    """Choose at most this many of the indices, evenly."""
    step = -(-len(indices) // count)
    return indices[step // 2 :: step] if step else indices


def _measure_width(planes: np.ndarray, spacing: Pair) -> float:
    """Return four times the area divided by the circumference, over all planes together.

    Args:
        planes: (z, row, col) bool.
        spacing: Spacing (row, col) in mm.
    """
    row_mm, col_mm = spacing
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)))
    across_rows = np.count_nonzero(padded[:, 1:] != padded[:, :-1])
    across_cols = np.count_nonzero(padded[:, :, 1:] != padded[:, :, :-1])
    circumference = across_rows * col_mm + across_cols * row_mm
    return float(4 * np.count_nonzero(planes) * row_mm * col_mm / circumference)


def _reduce(mask: np.ndarray) -> np.ndarray:
    """Reduce a large mask in-plane: a new pixel is in the mask if one of its pixels is."""
    factor = math.ceil((mask.size / _COMPONENT_VOXELS) ** 0.5)
    if factor == 1:
        return mask
    for axis in (1, 2):
        mask = np.logical_or.reduceat(mask, np.arange(0, mask.shape[axis], factor), axis=axis)
    return mask


def _percentiles(labels: tuple[int, ...], measured: CaseMeasurements) -> tuple[float, ...]:
    """Percentiles of a region: the extremes over its labels, and the median of the largest one."""
    counts = measured.labels or {}
    known = measured.intensities.label_percentiles
    sampled = [label for label in labels if known.get(label)]
    if not sampled:
        return ()
    rows = np.array([known[label] for label in sampled])
    middle = known[max(sampled, key=lambda label: counts.get(label, 0))][2]
    return (*rows[:, :2].min(axis=0).tolist(), middle, *rows[:, 3:].max(axis=0).tolist())


def _body_floor(floor: float, measured: CaseMeasurements) -> float:
    """Return the threshold between body and air: above the lowest HU if those were cut off."""
    clipped = measured.intensities.clipped_below
    return floor if clipped is None or clipped < floor else clipped + _ABOVE_CLIPPED_HU


def _measure_body(image: Volume, floor: float, centre: Pair) -> Pair:
    """Size (rows, cols) in mm of the smallest tile around a centre that holds the body."""
    step = -(-len(image.array) // _BODY_SLICES)
    bright = image.array[::step] > floor
    sizes = []
    for axis, at, mm in zip((1, 2), centre, image.spacing_mm[1:], strict=True):
        profile = bright.sum(axis=(0, 3 - axis), dtype=np.float64).cumsum()
        ends = np.searchsorted(profile, profile[-1] * np.array([_BODY_TAIL, 1 - _BODY_TAIL]))
        reach = max(at - ends[0], ends[1] + 1 - at) if profile[-1] else len(profile) / 2
        sizes.append(float(2 * reach * mm))
    return sizes[0], sizes[1]


def _count_known_slices(labels: np.ndarray, ignored: int | None) -> int:
    if ignored is None:
        return len(labels)
    return sum(bool((plane != ignored).any()) for plane in labels)
