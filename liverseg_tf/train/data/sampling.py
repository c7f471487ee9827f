"""Which tiles a batch holds: a pure function of the seed and the step."""

import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.store import TileStore


class BatchSampler:
    """Draws batches from a store's cases.

    Args:
        store: the tiles.
        names: of the cases to draw from.
        network: context, regions and stride.
        batch_size: tiles a batch.
        foreground: share of a batch drawn from slices that hold a region (rounded to whole
            tiles, dealt to the regions in turn); the others from all slices.

    Raises:
        LiverSegError: when a case is missing, or none holds any region.
    """

    def __init__(
        self,
        store: TileStore,
        names: list[str],
        network: NetworkSpec,
        batch_size: int,
        foreground_fraction: float,
    ):
        self.network, self.batch_size = network, batch_size
        self._cases = [store.read(name) for name in names]
        self._paces = [network.slice_step(case.slice_mm) for case in self._cases]
        lengths = [case.mask.shape[0] for case in self._cases]
        self._all = _index(enumerate(range(length) for length in lengths))
        self._regions = self._slices_by_region()
        if not self._regions:
            labels = sorted({label for name in names for label in store.cases[name]["labels"]})
            raise LiverSegError(
                f"Expected labels of {network.regions.to_json()} in the training cases. "
                f"Received the labels {', '.join(labels) or '0 alone'}."
            )
        self._forced = round(batch_size * foreground_fraction)
        sizes = np.array([case.mask.shape[1:] for case in self._cases]).max(axis=0)
        self.shape = network.padded(tuple(int(size) for size in sizes))

    def absent_regions(self) -> list[str]:
        """Regions that no training slice holds."""
        return [name for name in self.network.regions.names if name not in self._regions]

    def batch(
        self, seed: int, step: int, rows: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """The batch of a step.

        Args:
            seed: of the run.
            step: from 0.
            rows: of the batch that are wanted.

        Returns:
            image (rows, h, w, channels) uint8 and mask (rows, h, w, 1) uint8 labels. Tiles
            smaller than the store's largest are padded with 0 at the end.
        """
        picks = self._picks(np.random.default_rng((seed, step)))[rows]
        image = np.zeros((len(picks), *self.shape, self.network.channels), np.uint8)
        mask = np.zeros((len(picks), *self.shape, 1), np.uint8)
        for i, (case, z) in enumerate(picks):
            tiles = self._cases[case]
            h, w = tiles.mask.shape[1:]
            image[i, :h, :w] = self.network.stack(tiles.image, z, self._paces[case])
            mask[i, :h, :w, 0] = tiles.mask[int(z)]
        return image, mask

    def _picks(self, rng: np.random.Generator) -> np.ndarray:
        pools = list(self._regions.values())
        start = rng.integers(len(pools))
        forced = [pools[(start + i) % len(pools)] for i in range(self._forced)]
        rest = [self._all] * (self.batch_size - self._forced)
        return np.array([pool[rng.integers(len(pool))] for pool in forced + rest])

    def _slices_by_region(self) -> dict[str, np.ndarray]:
        by_region = {}
        for name, labels in self.network.regions.to_json().items():
            slices = [
                (
                    i,
                    sorted(
                        {
                            z
                            for label in labels
                            for z in case.record["slices_with"].get(str(label), [])
                        }
                    ),
                )
                for i, case in enumerate(self._cases)
            ]
            if any(found for _, found in slices):
                by_region[name] = _index(slices)
        return by_region


def _index(slices) -> np.ndarray:
    """(case, z) of every slice named, as rows."""
    return np.array([(case, z) for case, found in slices for z in found])
