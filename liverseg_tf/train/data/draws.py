"""Random numbers of the data augmentation: a pure function of the seed, the step and the tile."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from liverseg_tf.train.data.acquisition import (
    draw_bias_fields,
    draw_limits,
    draw_slice_mixtures,
)
from liverseg_tf.train.data.chosen_tiles import ChosenTiles, choose_tiles
from liverseg_tf.train.data.correlated_noise import draw_grain
from liverseg_tf.train.data.region_blobs import draw_blobs
from liverseg_tf.train.data.region_convolution import (
    RegionConvolution,
    draw_kernels,
    draw_shares,
)
from liverseg_tf.train.data.region_transforms import draw_curves, draw_shifts
from liverseg_tf.train.data.smoothing import CONTROL_POINTS
from liverseg_tf.train.data.table_and_arms import draw_table_and_arms
from liverseg_tf.train.settings import TrainSettings

# Ranges at strength 1. A probability is the fraction of the tiles to which a transform is applied;
# transforms without a probability apply to all tiles.
MAX_ROTATION_DEGREES = 15.0
SCALE_RANGE = (0.8, 1.25)
MAX_SHEAR = 0.1  # shift in columns per row
MAX_SHIFT = 0.08  # fraction of the tile's side
# standard deviation of the displacement of a control point: a fraction of the tile's shorter side
ELASTIC_PROBABILITY, ELASTIC_STD = 0.2, 0.02
BLUR_PROBABILITY, BLUR_SIGMA_RANGE = 0.15, (0.5, 1.2)  # standard deviation in pixels
LOW_RESOLUTION_PROBABILITY, LOW_RESOLUTION_RANGE = 0.15, (0.5, 1.0)  # fraction of the resolution
# intensities are scaled to 0..1
CONTRAST_RANGE = (0.75, 1.25)
MAX_BRIGHTNESS = 0.2  # contrast agent raises the liver by about 0.12
GAMMA_PROBABILITY, GAMMA_RANGE = 0.5, (0.7, 1.5)
NOISE_PROBABILITY, MAX_NOISE_STD = 0.3, 0.06
THICK_SLICES_PROBABILITY = 0.15
GRAIN_PROBABILITY = 0.15
TABLE_AND_ARMS_PROBABILITY = 0.15
REGION_PROBABILITY = 0.25  # of each of the transforms that know the regions

# Each named transform has a random stream of its own, so that it does not change the numbers of the
# others. The transforms that are not named share `_STREAM`. The slices of a step have another one.
_STREAM = 1
_STREAMS = {
    "clipping": 2,
    "bias-field": 3,
    "correlated-noise": 4,
    "thick-slices": 5,
    "table-and-arms": 6,
    "region-shift": 7,
    "region-curves": 8,
    "region-convolution": 9,
    "region-blobs": 10,
    "kernels": 11,  # of the region-convolution
}


class AugmentationDraws(NamedTuple):
    """Parameters of the data augmentation of some tiles; all arrays are float32 unless noted.

    The transforms of a run always draw the same numbers, whichever others the run has. Those that
    a run does not have are neutral, or () if leaving them out saves time.

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
        limits: (2, tiles) lowest and highest intensity.
        bias_field: (tiles, CONTROL_POINTS, CONTROL_POINTS) distances of the factor from 1.
        grain: Tiles with correlated noise.
        thick_slices: Tiles of thick slices, with the weights (channels, channels) of the mixture.
        table_and_arms: Tiles with objects at the edge.
        region_shift: Tiles whose regions are shifted.
        region_curves: Tiles whose regions are mapped by curves.
        region_blobs: Tiles with blobs in their regions.
        region_convolution: Random network, with the tiles whose regions it changes.
    """

    matrix: np.ndarray
    control_points: np.ndarray
    blur: ChosenTiles | tuple[()]
    resolution: ChosenTiles | tuple[()]
    contrast: np.ndarray
    brightness: np.ndarray
    gamma: np.ndarray
    noise_std: np.ndarray | tuple[()]
    noise_key: np.ndarray | tuple[()]
    limits: np.ndarray | tuple[()]
    bias_field: np.ndarray | tuple[()]
    grain: ChosenTiles | tuple[()]
    thick_slices: ChosenTiles | tuple[()]
    table_and_arms: ChosenTiles | tuple[()]
    region_shift: ChosenTiles | tuple[()]
    region_curves: ChosenTiles | tuple[()]
    region_blobs: ChosenTiles | tuple[()]
    region_convolution: RegionConvolution | tuple[()]


class BatchDraws:
    """Draws the augmentation of the batches of a run.

    Args:
        settings: Seed, strength, transforms and context of the run.
        batch_size: Number of tiles in a batch.
        shape: (h, w) of the tiles in pixels.
        windows: Number of channels of each slice.
    """

    def __init__(
        self, settings: TrainSettings, batch_size: int, shape: tuple[int, int], windows: int = 1
    ):
        self._seed, self._count, self._shape = settings.seed, batch_size, shape
        self._strength, self._mirror = settings.augment, settings.mirror
        self._names = frozenset(settings.transforms)
        self._context, self._windows = settings.context, windows

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

        def draw_sigma(rng: np.random.Generator, blocks: int) -> np.ndarray:
            return _uniform_log(rng, BLUR_SIGMA_RANGE, blocks) * strength

        def draw_resolution(rng: np.random.Generator, blocks: int) -> np.ndarray:
            left = _uniform_log(rng, LOW_RESOLUTION_RANGE, blocks)
            return 1 - (1 - left) * min(strength, 1.0)

        blur = choose_tiles(rng, count, positions, BLUR_PROBABILITY, draw_sigma)
        low = choose_tiles(rng, count, positions, LOW_RESOLUTION_PROBABILITY, draw_resolution)
        gamma = _uniform_log(rng, GAMMA_RANGE, count) ** strength
        noise = rng.random(count) * (MAX_NOISE_STD * strength)
        contrast = 1 + (rng.uniform(*CONTRAST_RANGE, count) - 1) * strength
        brightness = rng.uniform(-1, 1, count) * (MAX_BRIGHTNESS * strength)
        gamma = np.where(rng.random(count) < GAMMA_PROBABILITY, gamma, 1)
        noise = np.where(rng.random(count) < NOISE_PROBABILITY, noise, 0)
        key = rng.integers(-(2**31), 2**31, count, np.int64)
        has = self._names.__contains__
        return AugmentationDraws(
            matrix=matrix[positions].astype(np.float32),
            control_points=(points * has("elastic"))[positions].astype(np.float32),
            blur=blur if has("blur") else (),
            resolution=low if has("low-resolution") else (),
            contrast=(contrast if has("contrast") else np.ones(count))[positions].astype("f4"),
            brightness=(brightness * has("brightness"))[positions].astype(np.float32),
            gamma=(gamma if has("gamma") else np.ones(count))[positions].astype("f4"),
            noise_std=noise[positions].astype(np.float32) if has("noise") else (),
            noise_key=key[positions].astype(np.int32) if has("noise") else (),
            **self._draw_others(step, positions),
        )

    def _draw_others(self, step: int, positions: slice) -> dict[str, Any]:
        """Draw the parameters of the transforms with a stream of their own."""
        count, strength = self._count, self._strength

        def generator(name: str) -> np.random.Generator:
            return np.random.default_rng((self._seed, step, _STREAMS[name]))

        def choose(name: str, probability: float, draw: Callable[..., Any], *arguments: int):
            if name not in self._names:
                return ()

            def draw_values(rng: np.random.Generator, blocks: int):
                return draw(rng, blocks, strength, *arguments)

            return choose_tiles(generator(name), count, positions, probability, draw_values)

        limits: Any = ()
        field: Any = ()
        network: Any = ()
        if "clipping" in self._names:
            limits = draw_limits(generator("clipping"), count, strength)[:, positions].astype("f4")
        if "bias-field" in self._names:
            points = draw_bias_fields(generator("bias-field"), count, strength)
            field = points[positions].astype(np.float32)
        if "region-convolution" in self._names:
            kernels = draw_kernels(generator("kernels"))
            chosen = choose("region-convolution", REGION_PROBABILITY, draw_shares)
            network = RegionConvolution(*kernels, chosen)
        return {
            "limits": limits,
            "bias_field": field,
            "grain": choose("correlated-noise", GRAIN_PROBABILITY, draw_grain),
            "thick_slices": choose(
                "thick-slices",
                THICK_SLICES_PROBABILITY,
                draw_slice_mixtures,
                self._context,
                self._windows,
            ),
            "table_and_arms": choose(
                "table-and-arms", TABLE_AND_ARMS_PROBABILITY, draw_table_and_arms
            ),
            "region_shift": choose("region-shift", REGION_PROBABILITY, draw_shifts),
            "region_curves": choose("region-curves", REGION_PROBABILITY, draw_curves),
            "region_convolution": network,
            "region_blobs": choose("region-blobs", REGION_PROBABILITY, draw_blobs),
        }

    def _draw_matrices(self, rng: np.random.Generator) -> np.ndarray:
        """Draw (batch, 2, 3) matrices from an output pixel (x, y, 1) to an input pixel (x, y)."""
        count = self._count
        strength = self._strength if "affine" in self._names else 0.0
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


def _uniform_log(rng: np.random.Generator, limits: tuple[float, float], count: int) -> np.ndarray:
    """Draw factors whose logarithms are uniformly distributed."""
    return np.exp(rng.uniform(math.log(limits[0]), math.log(limits[1]), count))
