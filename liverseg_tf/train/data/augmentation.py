"""Data augmentation of whole batches in TensorFlow operations; image and mask stay aligned."""

import tensorflow as tf

from liverseg_tf.train.data.random import BatchRandom
from liverseg_tf.train.data.warp import warp_tiles

# Ranges at strength 1. Intensities are scaled to 0..1. A probability is the fraction of the tiles
# to which a transform is applied; transforms without a probability apply to all tiles.
CONTRAST_RANGE = (0.75, 1.25)
MAX_BRIGHTNESS = 0.2  # contrast agent raises the liver by about 0.12
GAMMA_PROBABILITY, GAMMA_RANGE = 0.5, (0.7, 1.5)
NOISE_PROBABILITY, MAX_NOISE_STD = 0.3, 0.06
BLUR_PROBABILITY, BLUR_SIGMA_RANGE = 0.15, (0.5, 1.2)  # standard deviation in pixels
LOW_RESOLUTION_PROBABILITY, LOW_RESOLUTION_RANGE = 0.15, (0.5, 1.0)  # fraction of the resolution
_BLUR_RADIUS = 3  # pixels


def augment_batch(image, mask, random: BatchRandom, strength: float = 1.0, mirror: bool = False):
    """Apply random spatial and intensity transforms to a batch.

    The spatial transforms are those of `warp_tiles`. The intensity transforms are blur, low
    resolution, contrast, brightness, gamma and noise, in this order. Each tile has its own
    random parameters; only the low resolution is the same for all tiles to which it is applied.

    Args:
        image: (tiles, h, w, channels) uint8.
        mask: (tiles, h, w, 1) uint8 labels.
        random: Random numbers for the tiles. The same seed gives the same batch.
        strength: Factor on the ranges above: 1 for these ranges, 0 for no change.
        mirror: Whether to mirror half of the tiles left to right.

    Returns:
        Image (tiles, h, w, channels) float32 in 0..255, and mask (tiles, h, w, 1) uint8.
    """
    image, mask = warp_tiles(image, mask, random, strength, mirror)
    image = image / 255

    def blur(random, image):
        return _blur(image, tf.exp(random.uniform_log(*BLUR_SIGMA_RANGE)) * strength)

    def simulate_low_resolution(random, image):
        factor = random.uniform_scalar(*LOW_RESOLUTION_RANGE)
        return _simulate_low_resolution(image, 1 - (1 - factor) * min(strength, 1.0))

    def add_noise(random, image):
        std = random.uniform(0, 1) * (MAX_NOISE_STD * strength)
        return image + _expand(std) * random.normal(tf.shape(image)[1:])

    image = random.apply_to_subset(BLUR_PROBABILITY, blur, image)
    image = random.apply_to_subset(LOW_RESOLUTION_PROBABILITY, simulate_low_resolution, image)
    image = _change_intensity(image, random, strength)
    image = random.apply_to_subset(NOISE_PROBABILITY, add_noise, image)
    return tf.clip_by_value(image, 0, 1) * 255, mask


def _change_intensity(image, random: BatchRandom, strength: float):
    """Change contrast and brightness of all tiles, and gamma of a random subset."""
    contrast = 1 + (random.uniform(*CONTRAST_RANGE) - 1) * strength
    brightness = random.uniform(-1, 1) * (MAX_BRIGHTNESS * strength)
    image = (image - 0.5) * _expand(contrast) + 0.5 + _expand(brightness)

    def change_gamma(random, image):
        gamma = tf.exp(random.uniform_log(*GAMMA_RANGE) * strength)
        return tf.clip_by_value(image, 1e-6, 1) ** _expand(gamma)

    return random.apply_to_subset(GAMMA_PROBABILITY, change_gamma, image)


def _blur(image, sigma):
    """Blur each tile with a Gaussian of standard deviation `sigma`, (tiles,) in pixels."""
    offsets = tf.range(-_BLUR_RADIUS, _BLUR_RADIUS + 1, dtype=tf.float32)
    weights = tf.exp(-0.5 * (offsets / tf.maximum(sigma, 1e-3)[:, None]) ** 2)
    weights = _expand(weights / tf.reduce_sum(weights, 1, keepdims=True))
    # a Gaussian is separable: first along the rows' axis, then along the columns' axis
    for axis in (1, 2):
        padding = [[_BLUR_RADIUS, _BLUR_RADIUS] if a == axis else [0, 0] for a in range(4)]
        padded = tf.pad(image, padding, "SYMMETRIC")
        length = tf.shape(image)[axis]
        terms = [
            weights[:, k] * tf.gather(padded, tf.range(k, k + length), axis=axis)
            for k in range(2 * _BLUR_RADIUS + 1)
        ]
        image = tf.add_n(terms)
    return image


def _simulate_low_resolution(image, factor):
    """Resize by a factor of at most 1 and back to the original size."""
    shape = tf.shape(image)[1:3]
    smaller = tf.maximum(tf.cast(tf.cast(shape, tf.float32) * factor, tf.int32), 1)
    return tf.image.resize(tf.image.resize(image, smaller, antialias=True), shape)


def _expand(per_tile):
    """Append three axes of length 1: (tiles, ...) to (tiles, ..., 1, 1, 1)."""
    return per_tile[..., None, None, None]
