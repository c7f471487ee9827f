"""Spatial augmentation: affine transforms, mirroring and elastic deformation of image and mask."""

import math

import tensorflow as tf

from liverseg_tf.train.data.random import BatchRandom

# ranges at strength 1
MAX_ROTATION_DEGREES = 15.0
SCALE_RANGE = (0.8, 1.25)
MAX_SHEAR = 0.1  # shift in columns per row
MAX_SHIFT = 0.08  # fraction of the tile's side
# fraction of the tiles that are deformed, and the standard deviation of the displacement of a
# control point as a fraction of the tile's shorter side
ELASTIC_PROBABILITY, ELASTIC_STD = 0.2, 0.02
_CONTROL_POINTS = 5  # of the elastic deformation, along each side


def warp_tiles(image, mask, random: BatchRandom, strength: float, mirror: bool):
    """Move every tile by a random spatial transform; image and mask move together.

    All tiles are rotated, scaled, sheared and shifted, and a random subset is also deformed
    elastically.

    Args:
        image: (tiles, h, w, channels) uint8 or float32, interpolated linearly.
        mask: (tiles, h, w, 1) uint8 labels, of which the nearest is taken.
        random: Random numbers for the tiles.
        strength: Factor on the ranges above: 1 for these ranges, 0 for no change.
        mirror: Whether to mirror half of the tiles left to right.

    Returns:
        Image float32 and mask uint8 of the same shapes; both are 0 outside the original tile.
    """
    matrix = _draw_matrices(random, tf.shape(image)[1:3], strength, mirror)
    original, image = (image, mask), tf.cast(image, tf.float32)
    warped = (_apply_affine(image, matrix, "BILINEAR"), _apply_affine(mask, matrix, "NEAREST"))

    def deform(random, warped, image, mask, matrix):
        # from the original tile, so that it is interpolated only once
        return _apply_deformation(image, mask, matrix, _draw_displacements(random, image, strength))

    return random.apply_to_subset(ELASTIC_PROBABILITY, deform, warped, *original, matrix)


def _draw_matrices(random: BatchRandom, shape, strength: float, mirror: bool):
    """Draw (tiles, 8) projective matrices that map an output pixel (x, y) to an input pixel."""
    angle = random.uniform(-1, 1) * (strength * math.radians(MAX_ROTATION_DEGREES))
    scale = tf.exp(random.uniform_log(*SCALE_RANGE) * strength)
    shear = random.uniform(-1, 1) * (strength * MAX_SHEAR)
    height, width = tf.cast(shape[0], tf.float32), tf.cast(shape[1], tf.float32)
    shift_x = random.uniform(-1, 1) * (strength * MAX_SHIFT) * width
    shift_y = random.uniform(-1, 1) * (strength * MAX_SHIFT) * height
    flip = 1 - 2 * random.bernoulli(0.5 if mirror else 0.0)
    cos, sin = tf.cos(angle) / scale, tf.sin(angle) / scale
    a, b = flip * cos, flip * (shear * cos - sin)
    c, d = sin, cos + shear * sin
    # the tile's centre stays in place, apart from the shift
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x = centre_x + shift_x - a * centre_x - b * centre_y
    y = centre_y + shift_y - c * centre_x - d * centre_y
    zero = tf.zeros_like(a)
    return tf.stack([a, b, x, c, d, y, zero, zero], axis=1)


def _apply_affine(tiles, matrix, interpolation: str):
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tiles,
        transforms=matrix,
        output_shape=tf.shape(tiles)[1:3],
        fill_value=0.0,
        interpolation=interpolation,
        fill_mode="CONSTANT",
    )


def _draw_displacements(random: BatchRandom, image, strength: float):
    """Draw (tiles, h, w, 2) displacements (x, y) in pixels: random control points, interpolated."""
    shape = tf.shape(image)[1:3]
    side = tf.cast(tf.minimum(shape[0], shape[1]), tf.float32)
    points = random.normal((_CONTROL_POINTS, _CONTROL_POINTS, 2)) * (ELASTIC_STD * strength * side)
    return tf.image.resize(points, shape, "bicubic")


def _apply_deformation(image, mask, matrix, displacements):
    """Sample image and mask where the affine matrix plus the displacement points to."""
    shape = tf.shape(image)
    count, height, width = shape[0], shape[1], shape[2]
    ys = tf.range(height, dtype=tf.float32)[None, :, None]
    xs = tf.range(width, dtype=tf.float32)[None, None, :]
    a, b, x0, c, d, y0 = [matrix[:, n, None, None] for n in range(6)]
    x = a * xs + b * ys + x0 + displacements[..., 0]
    y = c * xs + d * ys + y0 + displacements[..., 1]
    # a border of zeros, one pixel wide, answers for every point outside the tile
    image_pixels, mask_pixels = [
        tf.reshape(tf.pad(tiles, ((0, 0), (1, 1), (1, 1), (0, 0))), (-1, tf.shape(tiles)[-1]))
        for tiles in (tf.cast(image, tf.float32), mask)
    ]
    tile_offset = tf.range(count)[:, None, None] * ((height + 2) * (width + 2))

    def pixels_at(row, column, pixels):
        row = tf.clip_by_value(row + 1, 0, height + 1)
        column = tf.clip_by_value(column + 1, 0, width + 1)
        return tf.gather(pixels, tile_offset + row * (width + 2) + column)

    left, top = tf.floor(x), tf.floor(y)
    right_weight, bottom_weight = (x - left)[..., None], (y - top)[..., None]
    column, row = tf.cast(left, tf.int32), tf.cast(top, tf.int32)

    def interpolate_row(row):
        left_pixels = pixels_at(row, column, image_pixels)
        right_pixels = pixels_at(row, column + 1, image_pixels)
        return left_pixels * (1 - right_weight) + right_pixels * right_weight

    upper, lower = interpolate_row(row), interpolate_row(row + 1)
    nearest = pixels_at(tf.cast(tf.round(y), tf.int32), tf.cast(tf.round(x), tf.int32), mask_pixels)
    return upper * (1 - bottom_weight) + lower * bottom_weight, nearest
