"""tf.data from a store's tiles to augmented batches of regions."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from liverseg_tf.train.data.augmentation import augment_batch
from liverseg_tf.train.data.random import BatchRandom, BatchSlice
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.settings import TrainSettings


@dataclass(frozen=True)
class Shards:
    """Which parts of each batch a host makes: those of its own replicas.

    Args:
        first: of its parts.
        count: of its parts.
        of: parts that a batch has, one for each replica.
    """

    first: int = 0
    count: int = 1
    of: int = 1


def training_batches(
    sampler: BatchSampler,
    settings: TrainSettings,
    first_step: int = 0,
    shards: Shards = Shards(),
) -> tf.data.Dataset:
    """An endless stream of batches; each is a pure function of the seed and its step.

    Tiles stay uint8 until the batch is together. Batches are made in parallel and come in
    order.

    Args:
        sampler: draws the tiles.
        settings: seed, augmentation, regions.
        first_step: where the stream begins, so that a run can go on.
        shards: of each batch; they come one after another.

    Returns:
        Pairs of image (tiles, h, w, channels) float32 in 0..255 and truth
        (tiles, h, w, regions) uint8, 0 or 1; tiles is the batch size divided by the shards.
    """
    tiles = sampler.batch_size // shards.of
    shape = (tiles, *sampler.shape)
    table = tf.constant(region_table(settings.regions))

    def read(step, first):
        return sampler.batch(settings.seed, int(step), slice(int(first), int(first) + tiles))

    @tf.autograph.experimental.do_not_convert  # nothing here depends on values
    def draw(number):
        step = number // shards.count
        first = (shards.first + number % shards.count) * tiles
        image, mask = tf.numpy_function(read, [step, first], (tf.uint8, tf.uint8))
        image = tf.ensure_shape(image, (*shape, sampler.network.channels))
        mask = tf.ensure_shape(mask, (*shape, 1))
        if settings.augment:
            seed = tf.cast(tf.stack([tf.constant(settings.seed, tf.int64), step]), tf.int32)
            rows = BatchSlice(tf.cast(first, tf.int32), tiles, sampler.batch_size)
            image, mask = augment_batch(
                image, mask, BatchRandom(seed, rows), settings.augment, settings.mirror
            )
        return tf.cast(image, tf.float32), tf.gather(table, tf.cast(mask[..., 0], tf.int32))

    numbers = tf.data.Dataset.range(first_step * shards.count, np.iinfo(np.int64).max)
    made = numbers.map(draw, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return made.prefetch(4)


def region_table(regions) -> np.ndarray:
    """(256, regions) uint8: which regions a label belongs to."""
    return regions.masks(np.arange(256, dtype=np.uint8)).astype(np.uint8)
