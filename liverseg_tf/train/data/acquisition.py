"""Augmentation: how a scan was acquired and stored (slice thickness, drift, clipped values)."""

import numpy as np
from keras import ops

from liverseg_tf.train.data.smoothing import CONTROL_POINTS, spline_matrix

MAX_NEIGHBOUR_SHARE = 0.6  # of both neighbours in a thick slice
BIAS_FIELD_PROBABILITY, BIAS_FIELD_STD = 0.25, 0.1  # of a control point of the factor
# intensities are scaled to 0..1
CLIPPING_PROBABILITY, MAX_LOW, MIN_HIGH = 0.3, 0.25, 0.7


def draw_slice_mixtures(
    rng: np.random.Generator, count: int, strength: float, context: int, windows: int
) -> np.ndarray:
    """Draw matrices (count, channels, channels) from channels to those of thicker slices.

    Each slice becomes a weighted mean of itself and its neighbours in the context; the outer ones
    have one neighbour only.

    Args:
        rng: Generator of the batch.
        count: Number of tiles.
        strength: Factor on the share of the neighbours.
        context: Number of slices.
        windows: Number of channels of each slice.
    """
    share = rng.random(count)[:, None, None] * min(1.0, MAX_NEIGHBOUR_SHARE * strength)
    neighbours = (np.eye(context, k=1) + np.eye(context, k=-1)) / 2
    itself = np.diag(1 - neighbours.sum(axis=0))
    slices = np.eye(context) * (1 - share) + (neighbours + itself) * share
    return np.kron(slices, np.eye(windows))


def mix_slices(image, weights):
    """Replace each channel of (tiles, h, w, channels) by a weighted sum of the channels."""
    shape = tuple(image.shape)
    flat = ops.matmul(ops.reshape(image, (shape[0], shape[1] * shape[2], shape[3])), weights)
    return ops.reshape(flat, shape)


def draw_bias_fields(rng: np.random.Generator, count: int, strength: float) -> np.ndarray:
    """Draw control points (count, CONTROL_POINTS, CONTROL_POINTS); 0 for tiles without a drift."""
    points = rng.normal(0, BIAS_FIELD_STD * strength, (count, CONTROL_POINTS, CONTROL_POINTS))
    return points * (rng.random(count) < BIAS_FIELD_PROBABILITY)[:, None, None]


def apply_bias_field(image, control_points):
    """Multiply each tile by a smooth factor.

    Args:
        image: (tiles, h, w, channels) float32.
        control_points: (tiles, CONTROL_POINTS, CONTROL_POINTS) distances of the factor from 1.
    """
    rows, columns = spline_matrix(image.shape[1]), spline_matrix(image.shape[2]).T
    field = ops.matmul(ops.matmul(rows, control_points), columns)
    return image * (1 + field)[..., None]


def draw_limits(rng: np.random.Generator, count: int, strength: float) -> np.ndarray:
    """Draw the lowest and the highest intensity, (2, count); 0 and 1 for tiles without limits."""
    widths = rng.random((2, count)) * (rng.random(count) < CLIPPING_PROBABILITY)
    widths *= min(strength, 1.5)  # leaves a part of the window between them
    return np.stack([MAX_LOW * widths[0], 1 - (1 - MIN_HIGH) * widths[1]])
