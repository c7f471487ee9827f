"""Augmentation of whole batches, image and mask aligned, in TensorFlow ops."""

import tensorflow as tf

from liverseg_tf.train.data.random import BatchRandom
from liverseg_tf.train.data.warp import warp_tiles

CONTRASTS = (0.75, 1.25)
MOST_BRIGHTNESS = 0.2  # of the range 0..1, of which contrast agent adds about 0.12 to a liver
GAMMA, GAMMAS = 0.5, (0.7, 1.5)
NOISE, MOST_NOISE = 0.3, 0.06  # chance of a tile, standard deviation in the range 0..1
BLUR, SIGMAS = 0.15, (0.5, 1.2)  # pixels
COARSE, FACTORS = 0.15, (0.5, 1.0)  # of the resolution
_REACH = 3  # pixels of the blur


def augment_batch(image, mask, draws: BatchRandom, strength: float = 1.0, mirror: bool = False):
    """Move, bend and mirror tiles, and change their values.

    That is contrast, brightness and gamma, blur, a coarser resolution and noise. Every tile has its
    own draws. Those with a chance above meet some tiles only.

    Args:
        image: (tiles, h, w, channels) uint8.
        mask: (tiles, h, w, 1) uint8.
        draws: of the tiles; the same seed gives the same batch.
        strength: 1 for the ranges above, 0 for none, between and beyond in proportion.
        mirror: whether half of the tiles are mirrored left to right.

    Returns:
        image (tiles, h, w, channels) float32 in 0..255 and mask uint8.
    """
    image, mask = warp_tiles(image, mask, draws, strength, mirror)
    image = image / 255

    def blur(draws, some):
        return _blurred(some, tf.exp(draws.log_uniform(*SIGMAS)) * strength)

    def coarsen(draws, some):
        return _coarse(some, 1 - (1 - draws.shared(*FACTORS)) * min(strength, 1.0))

    def add_noise(draws, some):
        deviation = draws.uniform(0, 1) * (MOST_NOISE * strength)
        return some + _wide(deviation) * draws.normal(tf.shape(some)[1:])

    image = draws.sometimes(BLUR, blur, image)
    image = draws.sometimes(COARSE, coarsen, image)
    image = _change_values(image, draws, strength)
    image = draws.sometimes(NOISE, add_noise, image)
    return tf.clip_by_value(image, 0, 1) * 255, mask


def _change_values(image, draws: BatchRandom, strength: float):
    contrast = 1 + (draws.uniform(*CONTRASTS) - 1) * strength
    brightness = draws.uniform(-1, 1) * (MOST_BRIGHTNESS * strength)
    image = (image - 0.5) * _wide(contrast) + 0.5 + _wide(brightness)

    def bend_values(draws, some):
        gamma = tf.exp(draws.log_uniform(*GAMMAS) * strength)
        return tf.clip_by_value(some, 1e-6, 1) ** _wide(gamma)

    return draws.sometimes(GAMMA, bend_values, image)


def _blurred(image, sigma):
    """A Gaussian of `sigma` (tiles,) pixels, along rows, then along columns."""
    offsets = tf.range(-_REACH, _REACH + 1, dtype=tf.float32)
    weights = tf.exp(-0.5 * (offsets / tf.maximum(sigma, 1e-3)[:, None]) ** 2)
    weights = _wide(weights / tf.reduce_sum(weights, 1, keepdims=True))
    for axis in (1, 2):
        padded = tf.pad(
            image, [[_REACH, _REACH] if a == axis else [0, 0] for a in range(4)], "SYMMETRIC"
        )
        length = tf.shape(image)[axis]
        parts = [
            weights[:, k] * tf.gather(padded, tf.range(k, k + length), axis=axis)
            for k in range(2 * _REACH + 1)
        ]
        image = tf.add_n(parts)
    return image


def _coarse(image, factor):
    """Fewer pixels, and as many as before again."""
    shape = tf.shape(image)[1:3]
    smaller = tf.maximum(tf.cast(tf.cast(shape, tf.float32) * factor, tf.int32), 1)
    return tf.image.resize(tf.image.resize(image, smaller, antialias=True), shape)


def _wide(per_tile):
    return per_tile[..., None, None, None]
