"""Augmentation: the table and the patient's arms at the edge of the field of view."""

from typing import NamedTuple

import numpy as np
from keras import ops

_AIR = 0.06  # intensities below are air, the only place of these objects
_EDGE = 1.5  # pixels over which an object's border rises


class TableAndArms(NamedTuple):
    """Objects of some tiles; lengths are fractions of the tile's sides, all arrays float32.

    Args:
        arms: (tiles, 2, 6) of the left and the right arm: centre x and y, radius along x and y,
            intensity, and the radius of the bone as a fraction of the arm's. Radius 0: no arm.
        table: (tiles, 4): row of the table at its middle, how much lower it is there than at the
            sides, half its thickness, and intensity. Thickness 0: no table.
    """

    arms: np.ndarray
    table: np.ndarray


def draw_table_and_arms(rng: np.random.Generator, count: int, strength: float) -> TableAndArms:
    """Draw the objects; the strength scales their size."""

    def uniform(low, high, *shape):
        return rng.uniform(low, high, (count, *shape))

    size = min(strength, 2.0)
    arms = np.stack(
        [
            uniform(-0.03, 0.09, 2),
            uniform(0.3, 0.8, 2),
            uniform(0.05, 0.12, 2) * size * (rng.random((count, 2)) < 0.7),
            uniform(0.05, 0.15, 2) * size,
            uniform(0.35, 0.7, 2),
            uniform(0.2, 0.5, 2),
        ],
        axis=2,
    )
    arms[:, 1, 0] = 1 - arms[:, 1, 0]
    thickness = uniform(0.004, 0.02) * size * (rng.random(count) < 0.7)
    table = [uniform(0.8, 0.98), uniform(-0.02, 0.12), thickness, uniform(0.15, 1)]
    return TableAndArms(arms, np.stack(table, axis=1))


def add_table_and_arms(image, objects: TableAndArms):
    """Draw the objects where a tile shows air; the body and the labels stay as they are.

    Args:
        image: (tiles, h, w, channels) float32 in 0..1.
        objects: The objects.
    """
    height, width = image.shape[1:3]
    y = ((ops.arange(height, dtype="float32") + 0.5) / height)[:, None]
    x = (ops.arange(width, dtype="float32") + 0.5) / width
    shown = ops.zeros((image.shape[0], height, width), "float32")
    for side in range(2):
        numbers = (objects.arms[:, side, n, None, None] for n in range(6))
        centre_x, centre_y, radius_x, radius_y, intensity, bone = numbers
        distance = (x - centre_x) / ops.maximum(radius_x, 1e-6)
        distance = ops.sqrt(distance**2 + ((y - centre_y) / ops.maximum(radius_y, 1e-6)) ** 2)
        pixels = radius_x * width / _EDGE
        shown = ops.maximum(shown, intensity * ops.clip((1 - distance) * pixels, 0, 1))
        shown = ops.maximum(shown, ops.clip((bone - distance) * pixels, 0, 1))
    row, depth, thickness, intensity = (objects.table[:, n, None, None] for n in range(4))
    distance = ops.abs(y - (row - depth * (2 * x - 1) ** 2))
    inside = ops.clip((thickness - distance) * height / _EDGE + 0.5, 0, 1)
    inside = inside * ops.cast(thickness > 0, "float32")
    shown = ops.maximum(shown, intensity * inside)[..., None]
    return ops.where(image < _AIR, ops.maximum(image, shown), image)
