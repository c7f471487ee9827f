"""Augmentation that knows the regions: each gets intensities of its own, and masks stay the same.

Su et al., "Rethinking data augmentation for single-source domain generalization in medical image
segmentation", AAAI 2023 (arXiv 2211.14805), who map each region by a random increasing curve.
"""

import numpy as np
from keras import ops

from liverseg_tf.train.data.region_maps import (
    GROUPS,
    RegionValues,
    draw_region_values,
    make_region_maps,
)

# shift of each region; intensities are scaled to 0..1
MAX_REGION_SHIFT = 0.15  # contrast agent raises the liver by about 0.12
_DARK = 0.25  # below, as in fat and gas, the shift decreases to 0
# curve of each region
CURVE_SEGMENTS = 6
CURVE_STD = 0.5  # of the logarithm of a segment's slope


def draw_shifts(rng: np.random.Generator, count: int, strength: float) -> RegionValues:
    """Draw a shift for each group of labels; the background keeps its intensities."""
    table = rng.uniform(-1, 1, (count, GROUPS, 1)) * (MAX_REGION_SHIFT * strength)
    table[:, :2] = 0
    return draw_region_values(rng, table)


def shift_regions(image, values: RegionValues, groups):
    """Shift the intensities of each region, as another phase of a contrast agent does.

    Args:
        image: (tiles, h, w, channels) float32 in 0..1.
        values: Shifts.
        groups: (tiles, h, w, 1) int32.
    """
    shift = make_region_maps(groups[..., 0], values)[:, 0, :, :, None]
    return image + shift * ops.clip(image / _DARK, 0, 1)


def draw_curves(rng: np.random.Generator, count: int, strength: float) -> RegionValues:
    """Draw an increasing curve from 0 to 1 for each group of labels.

    The parameters are the distances of the curve from the identity at its inner points.
    """
    slopes = np.exp(rng.normal(0, CURVE_STD * strength, (count, GROUPS, CURVE_SEGMENTS)))
    heights = np.cumsum(slopes, axis=2)[..., :-1] / slopes.sum(axis=2, keepdims=True)
    return draw_region_values(rng, heights - np.arange(1, CURVE_SEGMENTS) / CURVE_SEGMENTS)


def apply_curves(image, values: RegionValues, groups):
    """Map the intensities of each region by its piecewise linear curve; see `shift_regions`.

    Between two regions, the curve is a weighted mean of theirs and therefore increases as well.
    """
    maps = make_region_maps(groups[..., 0], values)
    scaled = image * CURVE_SEGMENTS
    return image + sum(
        maps[:, n, :, :, None] * ops.maximum(1 - ops.abs(scaled - (n + 1)), 0)
        for n in range(CURVE_SEGMENTS - 1)
    )
