"""tf.data from a store's tiles to augmented batches of regions."""

import numpy as np
import tensorflow as tf

from liverseg_tf.train.augment import augment_batch
from liverseg_tf.train.sampling import BatchSampler
from liverseg_tf.train.settings import TrainSettings


def training_batches(
    sampler: BatchSampler, settings: TrainSettings, first_step: int = 0
) -> tf.data.Dataset:
    """An endless stream of batches; each is a pure function of the seed and its step.

    Tiles stay uint8 until the batch is together. Batches are made in parallel and come in
    order.

    Args:
        sampler: draws the tiles.
        settings: seed, augmentation, regions.
        first_step: where the stream begins, so that a run can go on.

    Returns:
        Pairs of image (batch, h, w, channels) float32 in 0..255 and truth
        (batch, h, w, regions) uint8, 0 or 1.
    """
    shape = (sampler.batch_size, *sampler.shape)
    table = tf.constant(region_table(settings.regions))

    def draw(step):
        image, mask = tf.numpy_function(
            lambda s: sampler.batch(settings.seed, int(s)), [step], (tf.uint8, tf.uint8)
        )
        image = tf.ensure_shape(image, (*shape, sampler.network.channels))
        mask = tf.ensure_shape(mask, (*shape, 1))
        if settings.augment:
            seed = tf.cast(tf.stack([tf.constant(settings.seed, tf.int64), step]), tf.int32)
            image, mask = augment_batch(image, mask, seed, settings.augment, settings.mirror)
        return tf.cast(image, tf.float32), tf.gather(table, tf.cast(mask[..., 0], tf.int32))

    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
    return steps.map(draw, num_parallel_calls=2, deterministic=True).prefetch(4)


def region_table(regions) -> np.ndarray:
    """(256, regions) uint8: which regions a label belongs to."""
    return regions.masks(np.arange(256, dtype=np.uint8)).astype(np.uint8)
