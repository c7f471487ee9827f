"""Random numbers of the data augmentation: a pure function of the seed, the step and the tile."""

import math
from typing import NamedTuple

import numpy as np

# Ranges at strength 1. A probability is the fraction of the tiles to which a transform is applied;
# transforms without a probability apply to all tiles.
MAX_ROTATION_DEGREES = 15.0
SCALE_RANGE = (0.8, 1.25)
MAX_SHEAR = 0.1  # shift in columns per row
MAX_SHIFT = 0.08  # fraction of the tile's side
# standard deviation of the displacement of a control point: a fraction of the tile's shorter side
ELASTIC_PROBABILITY, ELASTIC_STD = 0.2, 0.02
CONTROL_POINTS = 5  # of the elastic deformation, along each side
BLUR_PROBABILITY, BLUR_SIGMA_RANGE = 0.15, (0.5, 1.2)  # standard deviation in pixels
LOW_RESOLUTION_PROBABILITY, LOW_RESOLUTION_RANGE = 0.15, (0.5, 1.0)  # fraction of the resolution
# intensities are scaled to 0..1
CONTRAST_RANGE = (0.75, 1.25)
MAX_BRIGHTNESS = 0.2  # contrast agent raises the liver by about 0.12
GAMMA_PROBABILITY, GAMMA_RANGE = 0.5, (0.7, 1.5)
NOISE_PROBABILITY, MAX_NOISE_STD = 0.3, 0.06

# Expensive transforms are computed for one tile of each block only. Each tile of a block is chosen
# with equal probability, and the transform is applied with this multiple of its probability.
BLOCK = 4
_STREAM = 1  # tells these numbers apart from those that choose the slices of the same step


class ChosenTiles(NamedTuple):
    """One tile of each block, to which a transform is applied.

    Args:
        tile: (blocks,) int32 index of the chosen tile; 0 if the block's lies in another shard.
        value: (blocks,) float32 parameter of the transform.
        block: (tiles,) int32 block of each tile.
        applies: (tiles,) bool, whether the transform is applied to the tile.
    """

    tile: np.ndarray
    value: np.ndarray
    block: np.ndarray
    applies: np.ndarray


class AugmentationDraws(NamedTuple):
    """Parameters of the data augmentation of some tiles; all arrays are float32 unless noted.

    Args:
        matrix: (tiles, 2, 3) from output pixel (x, y, 1) to input pixel (x, y).
        control_points: (tiles, 2, CONTROL_POINTS, CONTROL_POINTS) displacements along x and y in
            pixels; 0 for tiles that are not deformed.
        blur: Tiles that are blurred, with the standard deviation in pixels.
        resolution: Tiles of low resolution, with the fraction of the resolution that is left.
        contrast: (tiles,) factors.
        brightness: (tiles,) summands.
        gamma: (tiles,) exponents; 1 for tiles that keep their gamma.
        noise_std: (tiles,) standard deviations; 0 for tiles without noise.
        noise_key: (tiles,) int32, from which the noise follows.
    """

    matrix: np.ndarray
    control_points: np.ndarray
    blur: ChosenTiles
    resolution: ChosenTiles
    contrast: np.ndarray
    brightness: np.ndarray
    gamma: np.ndarray
    noise_std: np.ndarray
    noise_key: np.ndarray


class BatchDraws:
    """Draws the augmentation of the batches of a run.

    Args:
        seed: Seed of the run.
        batch_size: Number of tiles in a batch.
        shape: (h, w) of the tiles in pixels.
        strength: Factor on the ranges above: 1 for these ranges, 0 for no change.
        mirror: Whether to mirror half of the tiles left to right.
    """

    def __init__(
        self, seed: int, batch_size: int, shape: tuple[int, int], strength: float, mirror: bool
    ):
        self._seed, self._count, self._shape = seed, batch_size, shape
        self._strength, self._mirror = strength, mirror

    def draw(self, step: int, positions: slice = slice(None)) -> AugmentationDraws:
        """Draw the parameters of a batch, or of a part of it.

        Hosts that process different parts of a batch draw the same numbers for a tile as a single
        host does.

        Args:
            step: Number of the step, counted from 0.
            positions: Positions in the batch of the tiles for which parameters are returned.
        """
        rng = np.random.default_rng((self._seed, step, _STREAM))
        strength, count = self._strength, self._count
        matrix = self._draw_matrices(rng)
        points = rng.normal(0, 1, (count, 2, CONTROL_POINTS, CONTROL_POINTS))
        points *= ELASTIC_STD * strength * min(self._shape)
        points *= (rng.random(count) < ELASTIC_PROBABILITY)[:, None, None, None]
        blur = self._choose(rng, BLUR_PROBABILITY, BLUR_SIGMA_RANGE, positions)
        low = self._choose(rng, LOW_RESOLUTION_PROBABILITY, LOW_RESOLUTION_RANGE, positions)
        gamma = _uniform_log(rng, GAMMA_RANGE, count) ** strength
        noise = rng.random(count) * (MAX_NOISE_STD * strength)
        contrast = 1 + (rng.uniform(*CONTRAST_RANGE, count) - 1) * strength
        brightness = rng.uniform(-1, 1, count) * (MAX_BRIGHTNESS * strength)
        gamma = np.where(rng.random(count) < GAMMA_PROBABILITY, gamma, 1)
        noise = np.where(rng.random(count) < NOISE_PROBABILITY, noise, 0)
        key = rng.integers(-(2**31), 2**31, count, np.int64)
        low_value = 1 - (1 - low.value) * min(strength, 1.0)
        return AugmentationDraws(
            matrix=matrix[positions].astype(np.float32),
            control_points=points[positions].astype(np.float32),
            blur=blur._replace(value=(blur.value * strength).astype(np.float32)),
            resolution=low._replace(value=low_value.astype(np.float32)),
            contrast=contrast[positions].astype(np.float32),
            brightness=brightness[positions].astype(np.float32),
            gamma=gamma[positions].astype(np.float32),
            noise_std=noise[positions].astype(np.float32),
            noise_key=key[positions].astype(np.int32),
        )

    def _draw_matrices(self, rng: np.random.Generator) -> np.ndarray:
        """Draw (batch, 2, 3) matrices from an output pixel (x, y, 1) to an input pixel (x, y)."""
        count, strength = self._count, self._strength
        height, width = self._shape
        angle = rng.uniform(-1, 1, count) * (strength * math.radians(MAX_ROTATION_DEGREES))
        scale = _uniform_log(rng, SCALE_RANGE, count) ** strength
        shear = rng.uniform(-1, 1, count) * (strength * MAX_SHEAR)
        shift_x = rng.uniform(-1, 1, count) * (strength * MAX_SHIFT * width)
        shift_y = rng.uniform(-1, 1, count) * (strength * MAX_SHIFT * height)
        flip = np.where(rng.random(count) < (0.5 if self._mirror else 0.0), -1, 1)
        cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
        a, b = flip * cos, flip * (shear * cos - sin)
        c, d = sin, cos + shear * sin
        # the tile's centre stays in place, apart from the shift
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        x = centre_x + shift_x - a * centre_x - b * centre_y
        y = centre_y + shift_y - c * centre_x - d * centre_y
        return np.stack([a, b, x, c, d, y], axis=1).reshape(count, 2, 3)

    def _choose(
        self,
        rng: np.random.Generator,
        probability: float,
        value_range: tuple[float, float],
        positions: slice,
    ) -> ChosenTiles:
        """Choose the tiles of a transform, and draw its parameter for each of them."""
        first, stop, _ = positions.indices(self._count)
        starts = np.arange(0, self._count, BLOCK)
        sizes = np.minimum(BLOCK, self._count - starts)
        chosen = starts + (rng.random(len(starts)) * sizes).astype(int)
        value = _uniform_log(rng, value_range, len(starts))
        active = rng.random(len(starts)) < probability * sizes
        # the blocks of these positions; a part that does not start at a block has one more
        blocks = slice(first // BLOCK, -(-stop // BLOCK))
        chosen, value, active = chosen[blocks], value[blocks], active[blocks]
        here = (chosen >= first) & (chosen < stop)
        block = np.arange(first, stop) // BLOCK - first // BLOCK
        applies = (chosen[block] == np.arange(first, stop)) & active[block]
        tile = np.where(here, chosen - first, 0)
        return ChosenTiles(tile.astype(np.int32), value, block.astype(np.int32), applies)


def _uniform_log(rng: np.random.Generator, limits: tuple[float, float], count: int) -> np.ndarray:
    """Draw factors whose logarithms are uniformly distributed."""
    return np.exp(rng.uniform(math.log(limits[0]), math.log(limits[1]), count))
