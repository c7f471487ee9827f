"""The pipeline from the tiles of a store to augmented batches of regions."""

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from liverseg_tf.train.data.augmentation import augment_batch
from liverseg_tf.train.data.compilation import compile_function
from liverseg_tf.train.data.device_tiles import DeviceTiles
from liverseg_tf.train.data.draws import AugmentationDraws, BatchDraws
from liverseg_tf.train.data.mask_codes import MaskCodes
from liverseg_tf.train.data.region_maps import region_groups
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.settings import TrainSettings
from liverseg_tf.workers import core_count

_BATCHES_AHEAD = 4
_MAX_THREADS = 16


@dataclass(frozen=True)
class Shards:
    """The parts of each batch that a host makes: those of its own replicas.

    Args:
        first: Index of the host's first shard.
        count: Number of shards of this host.
        total: Number of shards in a batch, one for each replica.
    """

    first: int = 0
    count: int = 1
    total: int = 1


def training_batches(
    sampler: BatchSampler,
    settings: TrainSettings,
    first_step: int = 0,
    shards: Shards = Shards(),
    cache: DeviceTiles | None = None,
) -> Iterator[tuple[Any, Any]]:
    """Make batches without end; each is a pure function of the seed and its step.

    Threads read the tiles as uint8 and hand them to the device, where they are augmented while
    the network is trained on the batches before.

    Args:
        sampler: Draws the tiles of a batch.
        settings: Seed, data augmentation and regions.
        first_step: Step of the first batch, so that a run can be resumed.
        shards: Parts of each batch to return, one after another.
        cache: All tiles on the device. The same batches are then gathered there, and the threads
            only draw the numbers of the slices and the parameters of their augmentation.

    Yields:
        Pairs of tensors: image (tiles, h, w, channels) float32 in 0..255, and ground truth
        (tiles, h, w, learnt regions) uint8, 0 or 1; or int8 with -1 for regions that are not
        labelled, if a case has any. The number of tiles is the batch size divided by the total
        number of shards.
    """

    def gather(seed: int, step: int, positions: slice):
        assert cache is not None
        return cache.gather(sampler.draw(seed, step, positions))

    tiles_of = sampler.batch if cache is None else gather
    read = _reader(sampler, settings, first_step, shards, tiles_of)
    make_batch = batch_maker(sampler.codes)
    return _in_threads(lambda number: make_batch(*read(number)))


def read_batches(
    sampler: BatchSampler,
    settings: TrainSettings,
    first_step: int = 0,
    shards: Shards = Shards(),
) -> Iterator[tuple[np.ndarray, np.ndarray, AugmentationDraws | None]]:
    """Read batches without end, ahead of time, in several threads; see `training_batches`.

    Yields:
        Image (tiles, h, w, channels) uint8, mask (tiles, h, w, 1) uint8 with the values of the
        sampler's `codes`, and the parameters of their augmentation, or None without augmentation.
        The arrays are NumPy's.
    """
    return _in_threads(_reader(sampler, settings, first_step, shards, sampler.batch))


def _reader(
    sampler: BatchSampler,
    settings: TrainSettings,
    first_step: int,
    shards: Shards,
    tiles_of: Callable[[int, int, slice], tuple[Any, Any]],
) -> Callable[[int], tuple[Any, Any, AugmentationDraws | None]]:
    """Return the function that reads the n-th shard of this host.

    Args:
        tiles_of: Function of the seed, the step and the positions to image and mask.
    """
    tiles = sampler.batch_size // shards.total
    draws = BatchDraws(settings, sampler.batch_size, sampler.shape, sampler.network.tiles.channels)

    def read(number: int):
        step = first_step + number // shards.count
        first = (shards.first + number % shards.count) * tiles
        positions = slice(first, first + tiles)
        image, mask = tiles_of(settings.seed, step, positions)
        return image, mask, draws.draw(step, positions) if settings.augment else None

    return read


def _in_threads(make: Callable[[int], Any]) -> Iterator[Any]:
    """Yield make(0), make(1), ... in order; a few results are made ahead of time."""
    executor = ThreadPoolExecutor(min(_MAX_THREADS, core_count()), "batches")
    ahead: deque[Future] = deque()
    try:
        for number in itertools.count():
            ahead.append(executor.submit(make, number))
            if len(ahead) > _BATCHES_AHEAD:
                yield ahead.popleft().result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


@functools.cache
def batch_maker(codes: MaskCodes) -> Callable:
    """Return the compiled function from what `read_batches` yields to a batch.

    Args:
        codes: Meaning of the values of the masks.
    """
    groups = region_groups(codes.table, codes.are_labels)

    def make(image, mask, draws=None):
        original = mask
        if draws is None:
            image = ops.cast(image, "float32")
        else:
            image, mask = augment_batch(image, mask, draws, groups)
        values = ops.cast(mask[..., 0], "int32")
        if not codes.are_labels:
            # beyond the edge of a tile, there is the background of its case
            beyond = _look_up(codes.backgrounds, ops.cast(original[:, :1, :1, 0], "int32"))
            values = ops.where(values == 0, ops.cast(beyond, "int32"), values)
        return image, _look_up(codes.table, values)

    return compile_function(make)


def _look_up(table: np.ndarray, values):
    return ops.take(ops.convert_to_tensor(table), values, axis=0)
