"""Augmentation: dark and bright blobs inside the regions, which belong to them as before.

Lesions, cysts and focal fat change the intensities of a part of an organ. A network that has seen
organs without them cuts them out.
"""

from typing import NamedTuple

import numpy as np
from keras import ops

from liverseg_tf.train.data.smoothing import CONTROL_POINTS, sample_positions, spline_matrix

BLOBS = 4  # at most, in a tile
RADIUS_RANGE = (0.01, 0.13)  # fraction of the tile's side; of a logarithmic uniform distribution
DARK_FRACTION = 0.75
AMPLITUDE_RANGE = (0.04, 0.25)  # intensities are scaled to 0..1
_STEP = 4  # pixels between those that may be the centre of a blob


class RegionBlobs(NamedTuple):
    """Blobs of some tiles, all float32.

    Args:
        place: (tiles, BLOBS) 0..1, which of the pixels of the regions is the centre.
        radius: (tiles, BLOBS, 2) along two axes, as fractions of the tile's shorter side.
        angle: (tiles, BLOBS) of the first axis to the rows, in radians.
        amplitude: (tiles, BLOBS) change of the intensity at the centre; 0: no blob.
        edge: (tiles, BLOBS) width of the border as a fraction of the radius.
        shape: (tiles, CONTROL_POINTS, CONTROL_POINTS) of a smooth function that deforms the blobs.
    """

    place: np.ndarray
    radius: np.ndarray
    angle: np.ndarray
    amplitude: np.ndarray
    edge: np.ndarray
    shape: np.ndarray


def draw_blobs(rng: np.random.Generator, count: int, strength: float) -> RegionBlobs:
    """Draw the blobs; the strength scales their contrast."""
    size, (low, high) = (count, BLOBS), AMPLITUDE_RANGE
    smallest, largest = np.log(RADIUS_RANGE)
    radius = np.exp(rng.uniform(smallest, largest, size))
    radius = np.stack([radius, radius * rng.uniform(0.6, 1, size)], axis=2)
    amplitude = rng.uniform(low, high, size) * strength
    amplitude *= np.where(rng.random(size) < DARK_FRACTION, -1, 1) * (rng.random(size) < 0.6)
    shape = rng.normal(0, 0.25, (count, CONTROL_POINTS, CONTROL_POINTS))
    edge = rng.uniform(0.1, 0.6, size)
    return RegionBlobs(
        rng.random(size), radius, rng.uniform(0, np.pi, size), amplitude, edge, shape
    )


def add_blobs(image, blobs: RegionBlobs, groups):
    """Change the intensities of parts of the regions.

    Args:
        image: (tiles, h, w, channels) float32 in 0..1.
        blobs: The blobs.
        groups: (tiles, h, w, 1) int32, from `region_groups`.
    """
    height, width = image.shape[1:3]
    rows, columns = sample_positions(height, _STEP), sample_positions(width, _STEP)
    samples = groups[:, rows[0] :: _STEP, columns[0] :: _STEP, 0]
    inside = ops.reshape(ops.cast(samples > 1, "float32"), (-1, len(rows) * len(columns)))
    below = ops.cumsum(inside, axis=1)
    wanted = blobs.place * below[:, -1:]
    chosen = ops.sum(ops.cast(below[:, None, :] <= wanted[:, :, None], "int32"), axis=2)
    chosen = ops.minimum(chosen, len(rows) * len(columns) - 1)
    row = ops.cast(chosen // len(columns), "float32") * _STEP + float(rows[0])
    column = ops.cast(chosen % len(columns), "float32") * _STEP + float(columns[0])
    group = ops.take_along_axis(ops.reshape(samples, inside.shape), chosen, axis=1)
    # a tile without regions has no blobs
    amplitude = blobs.amplitude * ops.cast(group > 1, "float32")

    y = ops.arange(height, dtype="float32")[:, None]
    x = ops.arange(width, dtype="float32")
    spline = (ops.convert_to_tensor(spline_matrix(n)) for n in (height, width))
    along_rows, along_columns = spline
    deformed = ops.matmul(ops.matmul(along_rows, blobs.shape), ops.transpose(along_columns))
    change = ops.zeros(groups.shape[:3], "float32")
    for n in range(BLOBS):
        dy, dx = y - row[:, n, None, None], x - column[:, n, None, None]
        cos, sin = (f(blobs.angle[:, n, None, None]) for f in (ops.cos, ops.sin))
        radius = blobs.radius[:, n, :, None, None] * min(height, width)
        u, v = (cos * dy + sin * dx) / radius[:, 0], (cos * dx - sin * dy) / radius[:, 1]
        distance = ops.sqrt(u**2 + v**2 + 1e-6) + deformed
        part = ops.clip((1 - distance) / blobs.edge[:, n, None, None] + 0.5, 0, 1)
        part = part * ops.cast(groups[..., 0] == group[:, n, None, None], "float32")
        change = change + amplitude[:, n, None, None] * part
    return image + change[..., None]
