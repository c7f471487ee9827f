"""Smooth maps over a tile, computed from fewer values by one matrix for each axis."""

import numpy as np
from keras import ops

CONTROL_POINTS = 5  # of smooth functions, along each side of a tile


def sample_positions(size: int, step: int) -> np.ndarray:
    """Return the positions in pixels of every `step`-th pixel, as centred as whole pixels allow."""
    return np.arange(min(step // 2, (size - 1) // 2), size, step)


def gaussian_weights(size: int, step: int, sigma):
    """Return Gaussian weights (tiles, size, samples) float32 of samples `step` pixels apart.

    Args:
        size: Number of pixels.
        step: Distance of the samples in pixels; see `sample_positions`.
        sigma: (tiles,) standard deviations in pixels, at least half of the step.
    """
    pixels = ops.arange(size, dtype="float32")[:, None]
    samples = ops.convert_to_tensor(sample_positions(size, step).astype(np.float32))
    distance = (pixels - samples) / ops.reshape(sigma, (-1, 1, 1))
    return ops.exp(-0.5 * distance**2)


def spread(maps, along_rows, along_columns):
    """Return maps (tiles, n, h, w) from samples (tiles, n, rows, columns) and two matrices.

    Args:
        maps: Samples.
        along_rows: Matrices (tiles or 1, h, rows).
        along_columns: Matrices (tiles or 1, w, columns).
    """
    columns = ops.transpose(along_columns, (0, 2, 1))[:, None]
    return ops.matmul(ops.matmul(along_rows[:, None], maps), columns)


def spline_matrix(size: int) -> np.ndarray:
    """Return the (size, CONTROL_POINTS) weights that interpolate control points cubically.

    Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -0.5. The
    control points are the centres of CONTROL_POINTS equal intervals; beyond the outer ones, the
    weights of the existing points are scaled to a sum of 1.
    """
    position = (np.arange(size) + 0.5) * CONTROL_POINTS / size - 0.5
    distance = np.abs(position[:, None] - np.arange(CONTROL_POINTS))
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
