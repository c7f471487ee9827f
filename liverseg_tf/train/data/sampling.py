"""Sampling of training slices: a batch is a pure function of the seed and the step."""

import functools
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from liverseg_tf.ct.annotation import Annotation, read_annotation
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.case_tiles import TileArray
from liverseg_tf.tiles.hdf5 import check_mapped
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.data.buffers import BufferPool
from liverseg_tf.train.data.mask_codes import MaskCodes
from liverseg_tf.train.data.region_slices import (
    check_labelled,
    find_known_slices,
    find_region_slices,
)

_READERS = 8  # threads that compare tiles with their checksums


class BatchSampler:
    """Draws training batches from the cases of a store.

    The tiles of all cases are compared with their checksums first.

    Attributes:
        shape: (h, w) of the tiles in pixels, with padding.
        slice_count: Number of slices of all cases.
        codes: Meaning of the values of the masks.
        mask_values: Values other than 0 of the masks of all cases.
        left_out: Names of the cases that label none of the regions, from which nothing is drawn.

    Args:
        store: Store with the tiles.
        case_names: Names of the cases to draw from.
        network: Context, regions and stride of the network.
        batch_size: Number of tiles in a batch.
        foreground_fraction: Fraction of a batch drawn from slices that contain a region. It is
            rounded to whole tiles, which the regions get in turn. The other tiles are drawn from
            all slices of which something is known.
        auxiliary: Regions that are learnt besides those of the network.

    Raises:
        LiverSegError: If a case is missing or damaged, if no case contains any region, or if a
            region is labelled in no case.
    """

    def __init__(
        self,
        store: TileStore,
        case_names: list[str],
        network: NetworkSpec,
        batch_size: int,
        foreground_fraction: float,
        auxiliary: Regions | None = None,
    ):
        self.network, self.batch_size = network, batch_size
        regions = network.regions.joined(auxiliary)
        annotations = self._read_annotations(store, case_names)
        check_labelled(regions, list(annotations.values()))
        self._names = [name for name in case_names if any(annotations[name].known_regions(regions))]
        self.left_out = [name for name in case_names if name not in self._names]
        known = [annotations[name] for name in self._names]
        self.codes = MaskCodes.of_cases(regions, known)
        self._translations = [self.codes.translation(annotation) for annotation in known]
        with ThreadPoolExecutor(_READERS) as executor:
            self._cases = list(executor.map(store.read, self._names))
        # the slices of all cases are numbered one after another
        self._counts = np.array([case.mask.shape[0] for case in self._cases])
        ends = np.cumsum(self._counts)
        self._first = ends - self._counts
        self._case_of = np.repeat(np.arange(len(self._cases)), self._counts)
        self._slice_steps = np.array([network.slice_step(case.slice_mm) for case in self._cases])
        self.slice_count = int(ends[-1])
        self.mask_values = list(self.codes.values)
        if self.codes.are_labels:
            found = {int(label) for case in self._cases for label in case.record["labels"]}
            self.mask_values = sorted(found)
        # indexing a plain array is faster than indexing a memory map
        self._arrays = [(_plain(case.image), _plain(case.mask)) for case in self._cases]
        slices = find_region_slices(regions, self._read_records(), known)
        self._absent_regions = [name for name in regions.names if name not in slices]
        self._slices_by_region = {
            name: found for name, found in slices.items() if name in network.regions.names
        }
        if not self._slices_by_region:
            labels = sorted({label for name in case_names for label in store.cases[name]["labels"]})
            raise LiverSegError(
                f"Expected training cases with labels of {network.regions}. "
                f"Received cases with the labels {', '.join(labels) or '0 only'}."
            )
        self._foreground_count = round(batch_size * foreground_fraction)
        sources = [*self._slices_by_region.values(), find_known_slices(self._cases, known)]
        self._source_sizes = np.array([len(source) for source in sources])
        self._source_starts = np.cumsum(self._source_sizes) - self._source_sizes
        self._source_slices = np.concatenate(sources)
        sizes = np.array([case.mask.shape[1:] for case in self._cases])
        rows, cols = sizes.max(axis=0)
        self.shape = network.padded((int(rows), int(cols)))
        self._tiles_are_equal = bool((sizes == self.shape).all())
        self._buffers = functools.cache(self._make_buffers)

    def absent_regions(self) -> list[str]:
        """Return the names of the regions, auxiliary ones included, that no slice contains."""
        return list(self._absent_regions)

    def batch(
        self, seed: int, step: int, positions: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the batch of a training step, or a part of it.

        Args:
            seed: Seed of the run.
            step: Number of the step, counted from 0.
            positions: Positions in the batch of the tiles to return.

        Returns:
            Image (tiles, h, w, channels) uint8 and mask (tiles, h, w, 1) uint8, with the values of
            `codes`. Tiles that are smaller than the largest of the store are padded with
            background at the end.

        Raises:
            LiverSegError: If a tile cannot be read any more; it names the file and the case.
        """
        slices = self.draw(seed, step, positions)
        middle, windows = slices.shape[1] // 2, self.network.tiles.channels
        both, pixels = self._buffers(len(slices)).take(), len(slices) * math.prod(self.shape)
        image = both[:-pixels].reshape(-1, *self.shape, self.network.channels)
        mask = both[-pixels:].reshape(-1, *self.shape, 1)
        if not self._tiles_are_equal:
            both[:] = 0
        cases = self._case_of[slices[:, middle]]
        indices = (slices - self._first[cases][:, None]).tolist()
        for case in np.unique(cases).tolist():
            self._check_case(case)
        for i, case in enumerate(cases.tolist()):
            tiles, labels = self._arrays[case]
            h, w = labels.shape[1:]
            if (h, w) != self.shape:
                mask[i] = self._background(case)
            try:
                for place, z in enumerate(indices[i]):
                    channels = slice(place * windows, (place + 1) * windows)
                    image[i, :h, :w, channels] = tiles[z]
                mask[i, :h, :w, 0] = self._translate(case, labels[indices[i][middle]])
            except LiverSegError as error:
                raise error.about(self._names[case]) from error
        return image, mask

    def draw(self, seed: int, step: int, positions: slice = slice(None)) -> np.ndarray:
        """Draw the slices of a training step, or of a part of it; see `batch`.

        Returns:
            Numbers (tiles, context) of the slices, counted over all cases. The middle one is
            segmented; beyond the ends of a volume, its outer slice is repeated.
        """
        rng = np.random.default_rng((seed, step))
        regions = len(self._slices_by_region)
        foreground = (rng.integers(regions) + np.arange(self._foreground_count)) % regions
        sources = np.full(self.batch_size, regions)  # the last one: all slices
        sources[: len(foreground)] = foreground
        places = rng.integers(self._source_sizes[sources])
        middle = self._source_slices[self._source_starts[sources] + places][positions]
        if self.network.context == 1:
            return middle[:, None]
        cases = self._case_of[middle]
        reach = np.arange(self.network.context) - self.network.context // 2
        slices = middle[:, None] + reach * self._slice_steps[cases][:, None]
        first = self._first[cases][:, None]
        last = first + self._counts[cases][:, None] - 1
        return np.clip(slices, first, last)

    def all_images(self) -> Iterator[np.ndarray]:
        """Read the images of all slices in the order of their numbers, a case at a time.

        Yields:
            (z, h, w, windows) uint8 of a case, padded as in `batch`.

        Raises:
            LiverSegError: As `batch`.
        """
        return (array for _, array in self._read_all(0))

    def all_masks(self) -> Iterator[tuple[str, np.ndarray]]:
        """Read the masks of all slices as `all_images` does.

        Yields:
            Name of a case and its (z, h, w) uint8 values of `codes`.
        """
        return self._read_all(1)

    def _read_all(self, part: int) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the name and the padded images (part 0) or masks (part 1) of each case."""
        for case, (name, arrays) in enumerate(zip(self._names, self._arrays, strict=True)):
            self._check_case(case)
            try:
                array = np.asarray(arrays[part])
            except LiverSegError as error:
                raise error.about(name) from error
            if part == 1:
                array = self._translate(case, array)
            if array.shape[1:3] != self.shape:
                beyond = self._background(case) if part == 1 else 0
                padded = np.full((len(array), *self.shape, *array.shape[3:]), beyond, np.uint8)
                padded[:, : array.shape[1], : array.shape[2]] = array
                array = padded
            yield name, array

    def _read_annotations(self, store: TileStore, names: list[str]) -> dict[str, Annotation]:
        """Return what the mask of each case labels."""
        return {name: read_annotation(store.cases.get(name, {})) for name in names}

    def _read_records(self) -> list[dict]:
        """Return the records that say which slices of the cases contain a region."""
        return [case.record for case in self._cases]

    def _check_case(self, case: int) -> None:
        """Check that the file of a case still has all of its bytes."""
        tiles = self._cases[case]
        try:
            check_mapped(tiles.image, tiles.mask)
        except LiverSegError as error:
            raise error.about(self._names[case]) from error

    def _make_buffers(self, tiles: int) -> BufferPool:
        """Return the memory for the images and masks of this many tiles."""
        return BufferPool(tiles * math.prod(self.shape) * (self.network.channels + 1))

    def _translate(self, case: int, labels: np.ndarray) -> np.ndarray:
        """Replace the labels of a case by the values of `codes`."""
        translation = self._translations[case]
        return labels if translation is None else translation[labels]

    def _background(self, case: int) -> int:
        """Return the value of the background in the masks of a case."""
        translation = self._translations[case]
        return 0 if translation is None else int(translation[0])


def _plain(array: TileArray) -> TileArray:
    """Return a memory map as a plain array of the same memory; leave PNG files as they are."""
    return np.asarray(array) if isinstance(array, np.ndarray) else array
