"""Sampling of training slices: a batch is a pure function of the seed and the step."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.hdf5 import check_mapped
from liverseg_tf.tiles.store import TileStore

_READERS = 8  # threads that compare tiles with their checksums


class BatchSampler:
    """Draws training batches from the cases of a store.

    The tiles of all cases are compared with their checksums first.

    Args:
        store: Store with the tiles.
        case_names: Names of the cases to draw from.
        network: Context, regions and stride of the network.
        batch_size: Number of tiles in a batch.
        foreground_fraction: Fraction of a batch drawn from slices that contain a region. It is
            rounded to whole tiles, which the regions get in turn. The other tiles are drawn from
            all slices.

    Raises:
        LiverSegError: If a case is missing or damaged, or if no case contains any region.
    """

    def __init__(
        self,
        store: TileStore,
        case_names: list[str],
        network: NetworkSpec,
        batch_size: int,
        foreground_fraction: float,
    ):
        self.network, self.batch_size = network, batch_size
        self._names = list(case_names)
        with ThreadPoolExecutor(_READERS) as executor:
            self._cases = list(executor.map(store.read, case_names))
        self._slice_steps = np.array([network.slice_step(case.slice_mm) for case in self._cases])
        self._slice_counts = np.array([case.mask.shape[0] for case in self._cases])
        self._all_slices = _list_slices(enumerate(map(range, self._slice_counts)))
        self._slices_by_region = self._find_slices_by_region()
        if not self._slices_by_region:
            labels = sorted({label for name in case_names for label in store.cases[name]["labels"]})
            raise LiverSegError(
                f"Expected training cases with labels of {network.regions}. "
                f"Received cases with the labels {', '.join(labels) or '0 only'}."
            )
        self._foreground_count = round(batch_size * foreground_fraction)
        sizes = np.array([case.mask.shape[1:] for case in self._cases])
        rows, cols = sizes.max(axis=0)
        self.shape = network.padded((int(rows), int(cols)))
        self._tiles_are_equal = bool((sizes == self.shape).all())

    def absent_regions(self) -> list[str]:
        """Return the names of the regions that no training slice contains."""
        return [name for name in self.network.regions.names if name not in self._slices_by_region]

    def batch(
        self, seed: int, step: int, positions: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the batch of a training step, or a part of it.

        Args:
            seed: Seed of the run.
            step: Number of the step, counted from 0.
            positions: Positions in the batch of the tiles to return.

        Returns:
            Image (tiles, h, w, channels) uint8 and mask (tiles, h, w, 1) uint8 labels. Tiles
            that are smaller than the largest of the store are padded with 0 at the end.

        Raises:
            LiverSegError: If a tile cannot be read any more; it names the file and the case.
        """
        cases, slices = self._draw_slices(np.random.default_rng((seed, step)))[positions].T
        # (tiles, context) indices; beyond the ends of a volume, its outer slice is repeated
        reach = np.arange(self.network.context) - self.network.context // 2
        context = slices[:, None] + reach * self._slice_steps[cases][:, None]
        context = np.clip(context, 0, self._slice_counts[cases][:, None] - 1)
        windows = self.network.tiles.channels
        make = np.empty if self._tiles_are_equal else np.zeros
        image = make((len(cases), *self.shape, self.network.channels), np.uint8)
        mask = make((len(cases), *self.shape, 1), np.uint8)
        for i, case in enumerate(cases):
            tiles = self._cases[case]
            h, w = tiles.mask.shape[1:]
            try:
                for array in (tiles.image, tiles.mask):
                    check_mapped(array)
                for place, z in enumerate(context[i]):
                    channels = slice(place * windows, (place + 1) * windows)
                    image[i, :h, :w, channels] = tiles.image[int(z)]
                mask[i, :h, :w, 0] = tiles.mask[int(slices[i])]
            except LiverSegError as error:
                raise error.about(self._names[case]) from error
        return image, mask

    def _draw_slices(self, rng: np.random.Generator) -> np.ndarray:
        """Draw (tiles, 2) pairs of case index and slice index."""
        regions = list(self._slices_by_region.values())
        first = rng.integers(len(regions))
        foreground = [regions[(first + i) % len(regions)] for i in range(self._foreground_count)]
        rest = [self._all_slices] * (self.batch_size - self._foreground_count)
        sources = foreground + rest
        places = rng.integers([len(slices) for slices in sources])
        return np.array([slices[n] for slices, n in zip(sources, places, strict=True)])

    def _find_slices_by_region(self) -> dict[str, np.ndarray]:
        """For each region that occurs, the (n, 2) pairs of case and slice that contain it."""
        slices_by_region = {}
        for name, labels in self.network.regions.to_json().items():
            slices = [
                (index, _slices_with(case.record, labels)) for index, case in enumerate(self._cases)
            ]
            if any(zs for _, zs in slices):
                slices_by_region[name] = _list_slices(slices)
        return slices_by_region


def _slices_with(record: dict, labels: list[int]) -> list[int]:
    """Indices of the slices of a case that contain at least one of the labels."""
    return sorted({z for label in labels for z in record["slices_with"].get(str(label), [])})


def _list_slices(slices) -> np.ndarray:
    """Turn pairs (case index, slice indices) into an (n, 2) array of rows (case, z)."""
    return np.array([(case, z) for case, zs in slices for z in zs])
