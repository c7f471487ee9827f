"""Where a CT's anatomy lies: cheap measures that tell a mirrored or reversed volume."""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.volume import Volume

_COARSE_MM = 4.0
_BODY_HU, _LUNG_HU, _BONE_HU = -300, (-950, -600), 250
_SPINE_SHARE = 8  # the spine lies within this part of the body's width, on both sides of its middle


@dataclass(frozen=True)
class Anatomy:
    """Masses whose place in the body is known.

    Args:
        lung_low_ml: air in tissue (-950 to -600 HU) in the lower half of the slices.
        lung_high_ml: the same in the upper half; lungs lie above the liver.
        spine_front_ml: bone near the middle line, in front of the body's middle.
        spine_back_ml: the same behind it, where the spine is.
        offsets_mm: of each label's centre from the body's, to the patient's left.
    """

    lung_low_ml: float
    lung_high_ml: float
    spine_front_ml: float
    spine_back_ml: float
    offsets_mm: dict[int, float]


def measure_anatomy(image: Volume, labels: np.ndarray | None) -> Anatomy:
    """Measure on every n-th voxel, about 4 mm apart.

    Args:
        image: HU, canonical order.
        labels: (z, row, col) uint8 on its grid, or None.
    """
    steps = [max(1, round(_COARSE_MM / mm)) for mm in image.spacing_mm]
    coarse = tuple(slice(None, None, step) for step in steps)
    array = image.array[coarse]
    voxel_ml = image.voxel_volume_ml * float(np.prod(steps))
    body = array > _BODY_HU
    lung = (array > _LUNG_HU[0]) & (array < _LUNG_HU[1]) & _enclosed(body)
    lung_ml = np.count_nonzero(lung, axis=(1, 2)) * voxel_ml
    half = len(lung_ml) // 2
    rows, cols = _extent(body, 1), _extent(body, 2)
    reach = (cols[1] - cols[0]) / _SPINE_SHARE
    near = np.abs(np.arange(array.shape[2]) - sum(cols) / 2) < reach
    bone_ml = np.count_nonzero((array > _BONE_HU) & near, axis=(0, 2)) * voxel_ml
    middle = int(np.ceil(sum(rows) / 2))
    offsets = {}
    if labels is not None:
        labels = labels[coarse]
        for label in np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256)[1:]) + 1:
            centre = _centre(labels == label) - sum(cols) / 2
            offsets[int(label)] = float(centre * image.spacing_mm[2] * steps[2])
    return Anatomy(
        float(lung_ml[:half].sum()),
        float(lung_ml[len(lung_ml) - half :].sum()),
        float(bone_ml[:middle].sum()),
        float(bone_ml[middle:].sum()),
        offsets,
    )


def _enclosed(body: np.ndarray) -> np.ndarray:
    """What has body on all four sides within its slice; foam of the table has not."""
    inside = np.ones_like(body)
    for axis in (1, 2):
        inside &= np.maximum.accumulate(body, axis)
        inside &= np.flip(np.maximum.accumulate(np.flip(body, axis), axis), axis)
    return inside


def _extent(body: np.ndarray, axis: int) -> tuple[float, float]:
    """First and last index along an axis with a tenth of the fullest one's body."""
    counts = np.count_nonzero(body, axis=tuple({0, 1, 2} - {axis}))
    full = np.flatnonzero(counts >= max(1, counts.max() / 10))
    return (float(full[0]), float(full[-1])) if full.size else (0.0, body.shape[axis] - 1.0)


def _centre(mask: np.ndarray) -> float:
    """Mean column."""
    counts = np.count_nonzero(mask, axis=(0, 1))
    return float(np.average(np.arange(len(counts)), weights=counts))
