"""The tf.data pipeline from the tiles of a store to augmented batches of regions."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from liverseg_tf.ct.regions import Regions
from liverseg_tf.train.data.augmentation import augment_batch
from liverseg_tf.train.data.random import BatchRandom, BatchSlice
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.settings import TrainSettings


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
) -> tf.data.Dataset:
    """Make an endless dataset of batches; each is a pure function of the seed and its step.

    Tiles stay uint8 until a batch is complete. Batches are made in parallel and returned in
    order.

    Args:
        sampler: Draws the tiles of a batch.
        settings: Seed, data augmentation and regions.
        first_step: Step of the first batch, so that a run can be resumed.
        shards: Parts of each batch to return, one after another.

    Returns:
        Dataset of pairs: image (tiles, h, w, channels) float32 in 0..255, and ground truth
        (tiles, h, w, regions) uint8, 0 or 1. The number of tiles is the batch size divided by
        the total number of shards.
    """
    tiles = sampler.batch_size // shards.total
    shape = (tiles, *sampler.shape)
    table = tf.constant(region_table(settings.regions))

    def read_tiles(step, first):
        return sampler.batch(settings.seed, int(step), slice(int(first), int(first) + tiles))

    @tf.autograph.experimental.do_not_convert  # there is no control flow on tensors
    def make_shard(number):
        step = number // shards.count
        first = (shards.first + number % shards.count) * tiles
        image, mask = tf.numpy_function(read_tiles, [step, first], (tf.uint8, tf.uint8))
        image = tf.ensure_shape(image, (*shape, sampler.network.channels))
        mask = tf.ensure_shape(mask, (*shape, 1))
        if settings.augment:
            seed = tf.cast(tf.stack([tf.constant(settings.seed, tf.int64), step]), tf.int32)
            batch_slice = BatchSlice(tf.cast(first, tf.int32), tiles, sampler.batch_size)
            random = BatchRandom(seed, batch_slice)
            image, mask = augment_batch(image, mask, random, settings.augment, settings.mirror)
        return tf.cast(image, tf.float32), tf.gather(table, tf.cast(mask[..., 0], tf.int32))

    numbers = tf.data.Dataset.range(first_step * shards.count, np.iinfo(np.int64).max)
    batches = numbers.map(make_shard, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(4)


def region_table(regions: Regions) -> np.ndarray:
    """Return the lookup table from label to regions, (256, regions) uint8, 0 or 1."""
    return regions.masks(np.arange(256, dtype=np.uint8)).astype(np.uint8)
