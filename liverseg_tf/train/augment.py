"""Augmentation of whole batches, image and mask aligned, in TensorFlow ops."""

import math

import tensorflow as tf

MOST_DEGREES = 15.0
SCALES = (0.8, 1.25)
MOST_SHIFT = 0.08  # of the tile's length
CONTRASTS = (0.75, 1.25)
MOST_BRIGHTNESS = 0.1  # of the range 0..1
GAMMAS = (0.7, 1.5)
MOST_NOISE = 0.06  # standard deviation, of the range 0..1


def augment_batch(image, mask, seed, strength: float = 1.0, mirror: bool = False):
    """Rotate, scale, shift and perhaps mirror; change contrast, brightness and gamma; add noise.

    Every tile has its own draw; image and mask move together (mask: nearest neighbour). Gamma
    and noise meet half of the tiles.

    Args:
        image: (batch, h, w, channels) uint8.
        mask: (batch, h, w, 1) uint8.
        seed: (2,) int32; the same seed gives the same batch.
        strength: 1 for the ranges above, 0 for none, between and beyond in proportion.
        mirror: whether half of the tiles are mirrored left to right.

    Returns:
        image (batch, h, w, channels) float32 in 0..255 and mask uint8.
    """
    draws = _Draws(seed, tf.shape(image)[0])
    image = tf.cast(image, tf.float32)
    matrix = _transforms(draws, tf.shape(image)[1:3], strength, mirror)
    image = _warp(image, matrix, "BILINEAR")
    mask = _warp(mask, matrix, "NEAREST")
    return tf.clip_by_value(_change_values(image / 255, draws, strength), 0, 1) * 255, mask


def _transforms(draws: "_Draws", shape, strength: float, mirror: bool):
    """(batch, 8) projective maps from an output pixel (x, y) to an input one."""
    angle = draws.uniform(-1, 1) * (strength * math.radians(MOST_DEGREES))
    scale = tf.exp(draws.log_uniform(SCALES) * strength)
    height, width = tf.cast(shape[0], tf.float32), tf.cast(shape[1], tf.float32)
    shift_x = draws.uniform(-1, 1) * (strength * MOST_SHIFT) * width
    shift_y = draws.uniform(-1, 1) * (strength * MOST_SHIFT) * height
    flip = tf.where(draws.uniform(0, 1) < (0.5 if mirror else 0.0), -1.0, 1.0)
    a, b = tf.cos(angle) / scale, tf.sin(angle) / scale
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    x = middle_x + shift_x - flip * a * middle_x + b * middle_y
    y = middle_y + shift_y - flip * b * middle_x - a * middle_y
    zero = tf.zeros_like(a)
    return tf.stack([flip * a, -b, x, flip * b, a, y, zero, zero], axis=1)


def _warp(tiles, matrix, interpolation: str):
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tiles,
        transforms=matrix,
        output_shape=tf.shape(tiles)[1:3],
        fill_value=0.0,
        interpolation=interpolation,
        fill_mode="CONSTANT",
    )


def _change_values(image, draws: "_Draws", strength: float):
    """image: (batch, h, w, channels) float32, 0..1."""
    contrast = 1 + (draws.uniform(*CONTRASTS) - 1) * strength
    brightness = draws.uniform(-1, 1) * (MOST_BRIGHTNESS * strength)
    image = (image - 0.5) * _wide(contrast) + 0.5 + _wide(brightness)
    gamma = tf.exp(draws.log_uniform(GAMMAS) * strength * draws.coin())
    image = tf.clip_by_value(image, 1e-6, 1) ** _wide(gamma)
    noise = draws.uniform(0, 1) * (MOST_NOISE * strength) * draws.coin()
    return image + _wide(noise) * draws.normal(tf.shape(image))


def _wide(per_tile):
    return per_tile[:, None, None, None]


class _Draws:
    """Random numbers for each tile; every call is a stream of its own."""

    def __init__(self, seed, batch):
        self._seed, self._batch, self._calls = seed, batch, 0

    def uniform(self, low: float, high: float):
        return tf.random.stateless_uniform([self._batch], self._next(), low, high)

    def log_uniform(self, ends: tuple[float, float]):
        return self.uniform(math.log(ends[0]), math.log(ends[1]))

    def coin(self):
        return tf.cast(self.uniform(0, 1) < 0.5, tf.float32)

    def normal(self, shape):
        return tf.random.stateless_normal(shape, self._next())

    def _next(self):
        self._calls += 1
        return tf.random.experimental.stateless_fold_in(self._seed, self._calls)
