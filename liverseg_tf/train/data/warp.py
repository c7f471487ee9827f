"""Tiles turned, scaled, sheared, shifted, mirrored and bent; image and mask move together."""

import math

import tensorflow as tf

from liverseg_tf.train.data.random import BatchRandom

MOST_DEGREES = 15.0
SCALES = (0.8, 1.25)
MOST_SHEAR = 0.1  # columns by which a line moves for each row
MOST_SHIFT = 0.08  # of the tile's length
BENT, MOST_BEND = 0.2, 0.02  # chance of a tile, standard deviation as a share of its length
_KNOTS = 5  # of the bend, along each side


def warp_tiles(image, mask, draws: BatchRandom, strength: float, mirror: bool):
    """Move every tile by draws of its own.

    Args:
        image: (tiles, h, w, channels) uint8 or float32; linear between pixels, 0 outside.
        mask: (tiles, h, w, 1) uint8; nearest pixel, 0 outside.
        draws: of the tiles.
        strength: 1 for the ranges above, 0 for none, between and beyond in proportion.
        mirror: whether half of the tiles are mirrored left to right.

    Returns:
        image float32 and mask uint8.
    """
    matrix = _matrices(draws, tf.shape(image)[1:3], strength, mirror)
    source, image = (image, mask), tf.cast(image, tf.float32)
    moved = (_affine(image, matrix, "BILINEAR"), _affine(mask, matrix, "NEAREST"))

    def bend(draws, moved, image, mask, matrix):
        return _bent(image, mask, matrix, _displacements(draws, image, strength))

    return draws.sometimes(BENT, bend, moved, *source, matrix)


def _matrices(draws: BatchRandom, shape, strength: float, mirror: bool):
    """(tiles, 8) projective maps from an output pixel (x, y) to an input one."""
    angle = draws.uniform(-1, 1) * (strength * math.radians(MOST_DEGREES))
    scale = tf.exp(draws.log_uniform(*SCALES) * strength)
    shear = draws.uniform(-1, 1) * (strength * MOST_SHEAR)
    height, width = tf.cast(shape[0], tf.float32), tf.cast(shape[1], tf.float32)
    shift_x = draws.uniform(-1, 1) * (strength * MOST_SHIFT) * width
    shift_y = draws.uniform(-1, 1) * (strength * MOST_SHIFT) * height
    flip = 1 - 2 * draws.coin(0.5 if mirror else 0.0)
    cos, sin = tf.cos(angle) / scale, tf.sin(angle) / scale
    a, b = flip * cos, flip * (shear * cos - sin)
    c, d = sin, cos + shear * sin
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    x = middle_x + shift_x - a * middle_x - b * middle_y
    y = middle_y + shift_y - c * middle_x - d * middle_y
    zero = tf.zeros_like(a)
    return tf.stack([a, b, x, c, d, y, zero, zero], axis=1)


def _affine(tiles, matrix, interpolation: str):
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tiles,
        transforms=matrix,
        output_shape=tf.shape(tiles)[1:3],
        fill_value=0.0,
        interpolation=interpolation,
        fill_mode="CONSTANT",
    )


def _displacements(draws: BatchRandom, image, strength: float):
    """(tiles, h, w, 2) x and y in pixels: random at some knots, smooth between them."""
    shape = tf.shape(image)[1:3]
    length = tf.cast(tf.minimum(shape[0], shape[1]), tf.float32)
    knots = draws.normal((_KNOTS, _KNOTS, 2)) * (MOST_BEND * strength * length)
    return tf.image.resize(knots, shape, "bicubic")


def _bent(image, mask, matrix, displacements):
    """Both sampled once, where the matrix and then the displacement lead."""
    shape = tf.shape(image)
    count, height, width = shape[0], shape[1], shape[2]
    ys = tf.range(height, dtype=tf.float32)[None, :, None]
    xs = tf.range(width, dtype=tf.float32)[None, None, :]
    a, b, x0, c, d, y0 = [matrix[:, n, None, None] for n in range(6)]
    x = a * xs + b * ys + x0 + displacements[..., 0]
    y = c * xs + d * ys + y0 + displacements[..., 1]
    # a rim of zeros takes everything from outside
    flat = [
        tf.reshape(tf.pad(tiles, ((0, 0), (1, 1), (1, 1), (0, 0))), (-1, tf.shape(tiles)[-1]))
        for tiles in (tf.cast(image, tf.float32), mask)
    ]
    first = tf.range(count)[:, None, None] * ((height + 2) * (width + 2))

    def at(row, col, pixels):
        row = tf.clip_by_value(row + 1, 0, height + 1)
        col = tf.clip_by_value(col + 1, 0, width + 1)
        return tf.gather(pixels, first + row * (width + 2) + col)

    left, top = tf.floor(x), tf.floor(y)
    right_share, low_share = (x - left)[..., None], (y - top)[..., None]
    col, row = tf.cast(left, tf.int32), tf.cast(top, tf.int32)
    upper = at(row, col, flat[0]) * (1 - right_share) + at(row, col + 1, flat[0]) * right_share
    lower = (
        at(row + 1, col, flat[0]) * (1 - right_share) + at(row + 1, col + 1, flat[0]) * right_share
    )
    nearest = at(tf.cast(tf.round(y), tf.int32), tf.cast(tf.round(x), tf.int32), flat[1])
    return upper * (1 - low_share) + lower * low_share, nearest
