"""Position of the anatomy in a CT, to recognise flipped and reversed volumes at little cost."""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.intensity import BODY_HU
from liverseg_tf.ct.volume import Volume

_COARSE_MM = 4.0
_LUNG_HU, _BONE_HU = (-950, -600), 250
_SPINE_PART = 8  # the spine lies within 1/8 of the body's width on each side of the midline
_LUNG_SLICE = 0.1  # lung in a slice of the chest, relative to body; sinuses and bowel are smaller
_TRUNK_WIDTH = 0.75  # relative to the widest slice
_TRUNK_ASPECT = 1.1  # width by depth; heads are longer than wide
_MIN_SAMPLES = 64  # voxels to keep along an axis, if it has that many


@dataclass(frozen=True)
class AnatomyPosition:
    """Amounts of tissue in parts of the body, relative to the whole body: independent of spacing.

    Args:
        lung_lower: Voxels of lung (-950 to -600 HU, enclosed by body, in slices of the chest) in
            the lower half of the slices.
        lung_upper: The same in the upper half. Lungs lie above the liver.
        abdomen_upper: Slices of the trunk without lungs in the upper half, relative to all slices
            of that half. Above the lungs are the neck and the head, which are narrower.
        spine_front: Voxels of bone near the midline in the front half of the body, in slices of
            the trunk. They are not counted in heads, where the jaw lies in front, nor in images
            without lungs or organs of the trunk, which may show the pubic bone.
        spine_back: The same in the back half, where the spine is.
        label_offsets: Distance of each label's centre from the centre of the body, towards the
            patient's left, relative to the width of the body.
    """

    lung_lower: float
    lung_upper: float
    abdomen_upper: float
    spine_front: float
    spine_back: float
    label_offsets: dict[int, float]


def measure_anatomy(
    image: Volume, labels: np.ndarray | None, trunk_labels: tuple[int, ...] = ()
) -> AnatomyPosition:
    """Measure the position of the anatomy on a coarse grid of about 4 mm.

    Args:
        image: HU, canonical order.
        labels: (z, row, col) uint8 on the same grid, or None.
        trunk_labels: Labels of organs of chest and abdomen. The image shows the trunk if it
            contains one of them, or lungs.
    """
    coarse = tuple(
        slice(None, None, max(1, min(round(_COARSE_MM / mm), length // _MIN_SAMPLES)))
        for mm, length in zip(image.spacing_mm, image.array.shape, strict=True)
    )
    array = image.array[coarse]
    body = array > BODY_HU
    body_voxels = max(1, np.count_nonzero(body))
    lung = (array > _LUNG_HU[0]) & (array < _LUNG_HU[1]) & _enclosed(body)
    lung = np.count_nonzero(lung, axis=(1, 2))
    lung[lung < _LUNG_SLICE * np.count_nonzero(body, axis=(1, 2))] = 0
    is_trunk = bool(lung.any())
    if labels is not None:
        is_trunk |= bool(np.isin(labels[coarse], trunk_labels).any())
    lung = lung / body_voxels
    half = len(lung) // 2
    rows, cols = _extent(body, 1), _extent(body, 2)
    width = max(1.0, cols[1] - cols[0])
    near_midline = np.abs(np.arange(array.shape[2]) - sum(cols) / 2) < width / _SPINE_PART
    plane_mm = [mm * (part.step or 1) for mm, part in zip(image.spacing_mm, coarse, strict=True)]
    wide = _find_wide_slices(body, plane_mm[1] / plane_mm[2])
    trunk = wide & is_trunk
    bone = (array[trunk] > _BONE_HU) & near_midline
    bone = np.count_nonzero(bone, axis=(0, 2)) / body_voxels
    middle = int(np.ceil(sum(rows) / 2))
    offsets = {}
    if labels is not None:
        labels = labels[coarse]
        for label in np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256)[1:]) + 1:
            offsets[int(label)] = (_mean_column(labels == label) - sum(cols) / 2) / width
    upper = slice(len(lung) - half, None)
    return AnatomyPosition(
        float(lung[:half].sum()),
        float(lung[upper].sum()),
        float(np.mean((wide & (lung == 0))[upper])) if half else 0.0,
        float(bone[:middle].sum()),
        float(bone[middle:].sum()),
        offsets,
    )


def _find_wide_slices(body: np.ndarray, row_mm_per_col_mm: float) -> np.ndarray:
    """Find the slices (z,) in which the body is wider than deep, and about as wide as anywhere."""
    widths, depths = (
        np.count_nonzero(counts >= np.maximum(1, counts.max(1, keepdims=True) / 10), axis=1)
        for counts in (np.count_nonzero(body, axis=1), np.count_nonzero(body, axis=2))
    )
    wide = widths >= _TRUNK_WIDTH * widths.max()
    return wide & (widths >= _TRUNK_ASPECT * depths * row_mm_per_col_mm)


def _enclosed(body: np.ndarray) -> np.ndarray:
    """Voxels with body on all four sides within their slice, unlike the foam of the table."""
    inside = np.ones_like(body)
    for axis in (1, 2):
        inside &= np.maximum.accumulate(body, axis)
        inside &= np.flip(np.maximum.accumulate(np.flip(body, axis), axis), axis)
    return inside


def _extent(body: np.ndarray, axis: int) -> tuple[float, float]:
    """First and last index along an axis where at least a tenth of the maximum is body."""
    counts = np.count_nonzero(body, axis=tuple({0, 1, 2} - {axis}))
    full = np.flatnonzero(counts >= max(1, counts.max() / 10))
    return (float(full[0]), float(full[-1])) if full.size else (0.0, body.shape[axis] - 1.0)


def _mean_column(mask: np.ndarray) -> float:
    counts = np.count_nonzero(mask, axis=(0, 1))
    return float(np.average(np.arange(len(counts)), weights=counts))
