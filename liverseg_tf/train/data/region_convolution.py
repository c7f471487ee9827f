"""Augmentation of each region by a random network of two convolutions.

Ouyang et al., "Causality-inspired single-source domain generalization for medical image
segmentation", 2022 (arXiv 2111.12525), mix an image with the output of such a network; arXiv
2512.01510, "Semantic-aware random convolution and source matching", has one for each region.
"""

from typing import NamedTuple

import numpy as np
from keras import ops

from liverseg_tf.train.data.chosen_tiles import ChosenTiles
from liverseg_tf.train.data.region_maps import (
    GROUPS,
    RegionValues,
    draw_region_values,
    make_region_maps,
)

HIDDEN, FEATURES = 2, 2  # channels of the two layers; the cost grows with their product
MAX_SHARE = 0.5  # of the network's output in the image
_DARK = 0.1  # intensity below which the change decreases to 0, so that air remains air
_SLOPE = 0.1  # of the leaky ReLU, for negative values


class RegionConvolution(NamedTuple):
    """The network of a batch, and how the chosen tiles are mixed with its output.

    Args:
        first: (3, 3, 1, HIDDEN) float32 kernel.
        bias: (HIDDEN,) float32.
        second: (3, 3, HIDDEN, FEATURES) float32 kernel.
        chosen: The tiles, with `RegionValues` of FEATURES + 1 numbers: the share of each feature in
            the image, and the share of the network.
    """

    first: np.ndarray
    bias: np.ndarray
    second: np.ndarray
    chosen: ChosenTiles


def draw_kernels(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw both kernels and the bias of a network."""
    first = rng.normal(0, 1 / 3, (3, 3, 1, HIDDEN))
    bias = rng.uniform(-0.5, 0.5, HIDDEN)
    second = rng.normal(0, 1 / 3, (3, 3, HIDDEN, FEATURES))
    return first.astype(np.float32), bias.astype(np.float32), second.astype(np.float32)


def draw_shares(rng: np.random.Generator, count: int, strength: float) -> RegionValues:
    """Draw, for each group of labels, the share of the network and the mixture of its features."""
    share = rng.uniform(0, min(1.0, MAX_SHARE * strength), (count, GROUPS, 1))
    mixture = rng.normal(0, 1, (count, GROUPS, FEATURES))
    mixture /= np.linalg.norm(mixture, axis=2, keepdims=True)
    return draw_region_values(rng, np.concatenate([share * mixture, share], axis=2))


def convolve_regions(image, network: RegionConvolution, shares: RegionValues, groups):
    """Mix each region of the chosen tiles with the output of a random network.

    The features are normalised to the mean and the standard deviation of the tile, so that its
    brightness and contrast stay about the same.

    Args:
        image: (blocks, h, w, channels) float32 in 0..1, the chosen tiles.
        network: The network; every channel is filtered by the same kernels.
        shares: What `draw_shares` returned for these tiles.
        groups: (blocks, h, w, 1) int32.
    """
    count, height, width, channels = image.shape
    planes = ops.reshape(ops.transpose(image, (0, 3, 1, 2)), (-1, height, width, 1))
    hidden = _convolve(planes, network.first) + network.bias
    features = _convolve(ops.maximum(hidden, _SLOPE * hidden), network.second)
    features = ops.reshape(features, (count, channels, height, width, FEATURES))
    mean, variance = ops.moments(features, (1, 2, 3), keepdims=True)
    features = (features - mean) * ops.rsqrt(variance + 1e-6)
    maps = make_region_maps(groups[..., 0], shares)[:, :, None]
    output = sum(maps[:, n] * features[..., n] for n in range(FEATURES))
    output = ops.transpose(output, (0, 2, 3, 1))
    mean, variance = ops.moments(image, (1, 2, 3), keepdims=True)
    share = ops.transpose(maps[:, FEATURES], (0, 2, 3, 1))
    change = ops.sqrt(variance) * output + share * (mean - image)
    return image + change * ops.clip(image / _DARK, 0, 1)


def _convolve(image, kernel):
    return ops.conv(image, kernel, padding="same", data_format="channels_last")
