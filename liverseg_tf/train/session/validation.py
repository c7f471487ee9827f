"""Dice per case in 3D, on the tiles of whole cases."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.case_tiles import CaseTiles
from liverseg_tf.tiles.store import TileStore


@dataclass(frozen=True)
class Scores:
    """What a validation found.

    Args:
        cases: case to region to Dice, on the tile grid; NaN where the case holds nothing of the
            region, and nothing is found.
    """

    cases: dict[str, dict[str, float]]

    @property
    def regions(self) -> dict[str, float]:
        """Mean over the cases of each region; NaN where no case is left."""
        names = next(iter(self.cases.values()))
        return {name: _mean([dice[name] for dice in self.cases.values()]) for name in names}

    @property
    def mean(self) -> float:
        """Over the regions; NaN where none is left."""
        return _mean(list(self.regions.values()))


@dataclass(frozen=True)
class Validator:
    """Cases that a model is measured on while it learns.

    It is measured on the tile grid; `liverseg evaluate` scores masks on the scanner's grid.

    Args:
        store: of the tiles.
        names: of the cases.
        network: context, regions and stride.
        batch_size: tiles at a time.
        share: (index, count): the slices are shared by so many hosts, of which this is one.
    """

    store: TileStore
    names: tuple[str, ...]
    network: NetworkSpec
    batch_size: int
    share: tuple[int, int] = (0, 1)

    @property
    def slices(self) -> int:
        """Of all cases together."""
        return sum(self.store.cases[name]["slices"] for name in self.names)

    def score(
        self,
        predict: Callable[[np.ndarray], np.ndarray],
        every: int = 1,
        total: Callable[[np.ndarray], np.ndarray] = lambda counts: counts,
    ) -> Scores:
        """Dice of each case and region, each over the case's slices.

        Args:
            predict: (batch, h, w, channels) uint8 to probabilities (batch, h, w, regions).
            every: take each n-th slice only.
            total: adds an array of counts up over the hosts.
        """
        counts = total(
            np.stack([self._counts(predict, self.store.read(n), every) for n in self.names])
        )
        return Scores(
            {
                name: {
                    region: _dice(both, sizes)
                    for region, both, sizes in zip(self.network.regions.names, *case, strict=True)
                }
                for name, case in zip(self.names, counts, strict=True)
            }
        )

    def _counts(self, predict: Callable, case: CaseTiles, every: int) -> np.ndarray:
        """(2, regions) float64: voxels in both masks, and of both masks together."""
        regions, slice_step = self.network.regions, self.network.slice_step(case.slice_mm)
        counts = np.zeros((2, len(regions)))
        rows, cols = case.mask.shape[1:]
        # a last, smaller batch is filled up: one shape for all calls, one compiled function
        tiles = np.zeros(
            (self.batch_size, *self.network.padded((rows, cols)), self.network.channels), np.uint8
        )
        index, hosts = self.share
        chosen = range(every // 2, case.mask.shape[0], every)[index::hosts]
        for start in range(0, len(chosen), self.batch_size):
            indices = chosen[start : start + self.batch_size]
            for place, z in enumerate(indices):
                tiles[place, :rows, :cols] = self.network.stack(case.image, z, slice_step)
            found = predict(tiles)[: len(indices), :rows, :cols] > 0.5
            truth = regions.masks(np.stack([case.mask[z] for z in indices]))
            axes = (0, 1, 2)
            counts[0] += (found & truth).sum(axis=axes)
            counts[1] += found.sum(axis=axes) + truth.sum(axis=axes)
        return counts


def _dice(both: float, sizes: float) -> float:
    return 2 * float(both) / float(sizes) if sizes else math.nan


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
