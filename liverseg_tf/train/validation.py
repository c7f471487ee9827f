"""Dice per case in 3D, on the tiles of whole cases."""

import math
from dataclasses import dataclass

import keras
import numpy as np

from liverseg_tf.tiles.case import CaseTiles
from liverseg_tf.tiles.network import NetworkSpec
from liverseg_tf.tiles.store import TileStore


@dataclass(frozen=True)
class Judge:
    """Cases that a model is measured on while it learns.

    Args:
        store: of the tiles.
        names: of the cases.
        network: context, regions and stride.
        batch_size: tiles at a time.
    """

    store: TileStore
    names: tuple[str, ...]
    network: NetworkSpec
    batch_size: int

    @property
    def slices(self) -> int:
        """Of all cases together."""
        return sum(self.store.cases[name]["slices"] for name in self.names)

    def score(self, model: keras.Model, every: int = 1) -> dict[str, float]:
        """Mean Dice over cases of each region, each summed over the case's slices.

        It is measured on the tile grid; `liverseg evaluate` scores masks on the scanner's grid.

        Args:
            model: tiles to probabilities.
            every: take each n-th slice only.

        Returns:
            Region to Dice. Cases that hold nothing of a region, and in which nothing is found,
            are left out of its mean; where no case is left it is NaN.
        """
        dice = np.array([self._case_dice(model, self.store.read(n), every) for n in self.names])
        return {
            region: float(np.nanmean(column)) if np.isfinite(column).any() else math.nan
            for region, column in zip(self.network.regions.names, dice.T, strict=True)
        }

    def _case_dice(self, model: keras.Model, case: CaseTiles, every: int) -> np.ndarray:
        """(regions,) float64."""
        regions = self.network.regions
        both, sizes = np.zeros(len(regions)), np.zeros(len(regions))
        rows, cols = case.mask.shape[1:]
        # a last, smaller batch is filled up: one shape for all calls, one compiled function
        tiles = np.zeros(
            (self.batch_size, *self.network.padded((rows, cols)), self.network.channels), np.uint8
        )
        chosen = range(every // 2, case.mask.shape[0], every)
        for start in range(0, len(chosen), self.batch_size):
            indices = chosen[start : start + self.batch_size]
            for i, z in enumerate(indices):
                tiles[i, :rows, :cols] = self.network.stack(case.image, z)
            found = model.predict_on_batch(tiles)[: len(indices), :rows, :cols] > 0.5
            truth = regions.masks(np.stack([case.mask[z] for z in indices]))
            both += (found & truth).sum(axis=(0, 1, 2))
            sizes += found.sum(axis=(0, 1, 2)) + truth.sum(axis=(0, 1, 2))
        return np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), np.nan)
