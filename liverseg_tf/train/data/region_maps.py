"""Parameters that differ between the regions of a tile, with soft transitions between them."""

import math
from typing import NamedTuple

import numpy as np
from keras import ops

from liverseg_tf.train.data.smoothing import (
    CONTROL_POINTS,
    gaussian_weights,
    sample_positions,
    spline_matrix,
    spread,
)

GROUPS = 16  # two parts of the background, and 14 groups of labels
FEATHER_RANGE = (3.0, 8.0)  # standard deviation in pixels of the transition between regions
_STEP = 4  # pixels; the maps are smooth, so that fewer samples than pixels suffice


class RegionValues(NamedTuple):
    """Parameters of some tiles for each group of labels, all float32.

    Args:
        table: (tiles, GROUPS, n) parameters of each group.
        border: (tiles, CONTROL_POINTS, CONTROL_POINTS) of a smooth function; the background, group
            0, belongs to group 1 where this function is positive.
        sigma: (tiles,) standard deviation in pixels of the transitions.
    """

    table: np.ndarray
    border: np.ndarray
    sigma: np.ndarray


def draw_region_values(rng: np.random.Generator, table: np.ndarray) -> RegionValues:
    """Draw the transitions for a table (tiles, GROUPS, n)."""
    count = len(table)
    border = rng.normal(0, 1, (count, CONTROL_POINTS, CONTROL_POINTS))
    low, high = map(math.log, FEATHER_RANGE)
    sigma = np.exp(rng.uniform(low, high, count))
    return RegionValues(table, border, sigma)


def region_groups(table: np.ndarray, has_labels: bool = True) -> np.ndarray:
    """Return the group of each value of a mask, (256,) int32.

    The group of a value is the first region to which it belongs: a tumour stays in the group of
    the organ that contains it and keeps its contrast. The background is group 0, and group 1 is a
    part of it. If there are more than 14 groups of labels, some of them share a group.

    Args:
        table: (256, regions) of the values of a mask, above 0 where a value belongs to a region.
        has_labels: Whether the values are labels, so that each one that belongs to no region is a
            group of its own; otherwise, these values are background.
    """
    inside = table > 0
    is_learnt = inside.any(axis=1)
    groups = np.where(is_learnt, inside.argmax(axis=1) + 1, 0)
    if has_labels:
        others = np.flatnonzero(~is_learnt)[1:]  # 0 is the background
        groups[others] = table.shape[1] + np.arange(1, len(others) + 1)
    return np.where(groups == 0, 0, 2 + (groups - 1) % (GROUPS - 2)).astype(np.int32)


def make_region_maps(groups, values: RegionValues):
    """Return the parameters of each pixel, (tiles, n, h, w) float32.

    The border of a region in the map is neither sharp nor certain: it is smoothed over several
    pixels, more than the organs' own borders are, and the background is divided in two parts by a
    random line that looks the same. A network therefore does not learn the artificial borders
    instead of the real ones.

    Args:
        groups: (tiles, h, w) int32 groups of the pixels.
        values: Parameters of the groups.
    """
    height, width = groups.shape[1:]
    rows, columns = sample_positions(height, _STEP), sample_positions(width, _STEP)
    samples = groups[:, rows[0] :: _STEP, columns[0] :: _STEP]
    along_rows, along_columns = spline_matrix(height)[rows], spline_matrix(width)[columns].T
    border = ops.matmul(ops.matmul(along_rows, values.border), along_columns)
    samples = ops.where((samples == 0) & (border > 0), 1, samples)
    count, _, channels = values.table.shape
    first = GROUPS * ops.arange(count, dtype="int32")[:, None, None]
    maps = ops.take(ops.reshape(values.table, (-1, channels)), first + samples, axis=0)
    weights = [gaussian_weights(size, _STEP, values.sigma) for size in (height, width)]
    weights = [w / ops.sum(w, axis=2, keepdims=True) for w in weights]
    return spread(ops.transpose(maps, (0, 3, 1, 2)), *weights)
