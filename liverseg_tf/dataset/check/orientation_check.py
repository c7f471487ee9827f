"""Where a CT's anatomy lies: cheap measures that tell a mirrored or reversed volume."""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.volume import Volume

_COARSE_MM = 4.0
_BODY_HU, _LUNG_HU, _BONE_HU = -300, (-950, -600), 250
_SPINE_PART = 8  # the spine lies within this part of the body's width, on both sides of its middle
_FEWEST = 64  # voxels that are looked at along an axis, where it has them


@dataclass(frozen=True)
class AnatomyPosition:
    """Masses whose place in the body is known, as shares of it: they need no spacing.

    Args:
        lung_low: air in tissue (-950 to -600 HU) in the lower half of the slices.
        lung_high: the same in the upper half; lungs lie above the liver.
        spine_front: bone near the middle line, in front of the body's middle.
        spine_back: the same behind it, where the spine is.
        offsets: of each label's centre from the body's, to the patient's left, as a share of
            the body's width.
    """

    lung_low: float
    lung_high: float
    spine_front: float
    spine_back: float
    offsets: dict[int, float]


def measure_anatomy(image: Volume, labels: np.ndarray | None) -> AnatomyPosition:
    """Measure on every n-th voxel, about 4 mm apart.

    Args:
        image: HU, canonical order.
        labels: (z, row, col) uint8 on its grid, or None.
    """
    coarse = tuple(
        slice(None, None, max(1, min(round(_COARSE_MM / mm), length // _FEWEST)))
        for mm, length in zip(image.spacing_mm, image.array.shape, strict=True)
    )
    array = image.array[coarse]
    body = array > _BODY_HU
    whole = max(1, np.count_nonzero(body))
    lung = (array > _LUNG_HU[0]) & (array < _LUNG_HU[1]) & _enclosed(body)
    lung = np.count_nonzero(lung, axis=(1, 2)) / whole
    half = len(lung) // 2
    rows, cols = _extent(body, 1), _extent(body, 2)
    width = max(1.0, cols[1] - cols[0])
    near = np.abs(np.arange(array.shape[2]) - sum(cols) / 2) < width / _SPINE_PART
    bone = np.count_nonzero((array > _BONE_HU) & near, axis=(0, 2)) / whole
    middle = int(np.ceil(sum(rows) / 2))
    offsets = {}
    if labels is not None:
        labels = labels[coarse]
        for label in np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256)[1:]) + 1:
            offsets[int(label)] = (_centre(labels == label) - sum(cols) / 2) / width
    return AnatomyPosition(
        float(lung[:half].sum()),
        float(lung[len(lung) - half :].sum()),
        float(bone[:middle].sum()),
        float(bone[middle:].sum()),
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
