"""Augmentation of intensities: blur, low resolution, contrast, brightness and gamma."""

import numpy as np
from keras import ops

_BLUR_RADIUS = 3  # pixels


def blur(image, sigma):
    """Blur each tile with a Gaussian of standard deviation `sigma`, (tiles,) in pixels."""
    offsets = ops.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1, dtype="float32")
    weights = ops.exp(-0.5 * (offsets / ops.maximum(sigma, 1e-3)[:, None]) ** 2)
    weights = expand(weights / ops.sum(weights, axis=1, keepdims=True))
    # a Gaussian is separable: first along the rows' axis, then along the columns' axis
    for axis in (1, 2):
        length = image.shape[axis]
        # pixels beyond an edge are those on its other side, in reverse order
        mirrored = np.pad(np.arange(length), _BLUR_RADIUS, mode="symmetric").astype(np.int32)
        terms = [
            weights[:, k] * ops.take(image, mirrored[k : k + length], axis=axis)
            for k in range(2 * _BLUR_RADIUS + 1)
        ]
        image = sum(terms[1:], terms[0])
    return image


def reduce_resolution(image, factor):
    """Resize each tile by a factor (tiles,) of at most 1, and back to the original size.

    Both steps interpolate linearly; the first one averages over the pixels that it leaves out.
    """
    for axis in (1, 2):
        size = image.shape[axis]
        # the matrix product is over the second axis: the one that is resized
        order = (0, 1, 2, 3) if axis == 1 else (0, 2, 1, 3)
        tiles = ops.transpose(image, order)
        flat = ops.reshape(tiles, (-1, size, tiles.shape[2] * tiles.shape[3]))
        down, up = _resizing_matrices(size, factor)
        flat = ops.matmul(up, ops.matmul(down, flat))
        image = ops.transpose(ops.reshape(flat, (-1, *tiles.shape[1:])), order)
    return image


def _resizing_matrices(size: int, factor):
    """Matrices (tiles, size, size) to fewer pixels and back; unused rows and columns are 0."""
    kept = ops.maximum(ops.floor(size * factor), 1)[:, None, None]
    scale = size / kept
    second = ops.arange(size, dtype="float32")
    first = second[:, None]
    # down: row = pixel of the small tile, column = pixel of the large tile
    distance = ops.abs((second + 0.5) / scale - (first + 0.5))
    down = ops.maximum(1 - distance, 0) * ops.cast(first < kept, "float32")
    down = down / ops.maximum(ops.sum(down, axis=2, keepdims=True), 1e-6)
    position = ops.clip((first + 0.5) / scale - 0.5, 0, kept - 1)
    up = ops.maximum(1 - ops.abs(position - second), 0)
    return down, up


def change_intensity(image, contrast, brightness, gamma):
    """Change contrast, brightness and gamma of each tile; all parameters are (tiles,)."""
    image = (image - 0.5) * expand(contrast) + 0.5 + expand(brightness)
    changed = ops.clip(image, 1e-6, 1) ** expand(gamma)
    return ops.where(expand(gamma) == 1, image, changed)


def expand(per_tile):
    """Append three axes of length 1: (tiles, ...) to (tiles, ..., 1, 1, 1)."""
    return per_tile[..., None, None, None]
