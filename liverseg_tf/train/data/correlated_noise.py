"""Augmentation by noise whose neighbouring pixels are correlated, as in images of a low dose."""

import math
from typing import NamedTuple

import numpy as np
from keras import ops

from liverseg_tf.train.data.noise import make_noise
from liverseg_tf.train.data.smoothing import gaussian_weights, sample_positions, spread

MAX_GRAIN_STD = 0.07  # of intensities in 0..1
GRAIN_RANGE = (1.0, 2.0)  # standard deviation in pixels of the filter
_COARSE, _COARSE_SHARE = 3.0, 0.3  # a second filter: how much wider it is, and its weight
_STEP = 2  # pixels


class Grain(NamedTuple):
    """Noise of some tiles.

    Args:
        std: (tiles,) float32 standard deviations.
        sigma: (tiles,) float32 standard deviations of the filter in pixels.
        key: (tiles,) int32, from which the noise follows.
    """

    std: np.ndarray
    sigma: np.ndarray
    key: np.ndarray


def draw_grain(rng: np.random.Generator, count: int, strength: float) -> Grain:
    """Draw the parameters of the noise."""
    low, high = map(math.log, GRAIN_RANGE)
    return Grain(
        rng.random(count) * (MAX_GRAIN_STD * strength),
        np.exp(rng.uniform(low, high, count)),
        rng.integers(-(2**31), 2**31, count, np.int64),
    )


def add_grain(image, grain: Grain):
    """Add noise that is filtered by the sum of a Gaussian and of a wider one.

    Args:
        image: (tiles, h, w, channels) float32 in 0..1. The noise of its channels is independent.
        grain: Parameters of the noise.
    """
    height, width, channels = image.shape[1:]
    samples = [len(sample_positions(size, _STEP)) for size in (height, width)]
    noise = make_noise(grain.key, (channels, *samples))
    weights = [_weights(size, grain.sigma) for size in (height, width)]
    noise = ops.transpose(spread(noise, *weights), (0, 2, 3, 1))
    return image + grain.std[:, None, None, None] * noise


def _weights(size: int, sigma):
    """Weights (tiles, size, samples) of independent samples; the sum has a variance of 1."""
    weights = gaussian_weights(size, _STEP, sigma)
    weights = weights + _COARSE_SHARE * gaussian_weights(size, _STEP, sigma * _COARSE)
    return weights * ops.rsqrt(ops.sum(weights**2, axis=2, keepdims=True))
