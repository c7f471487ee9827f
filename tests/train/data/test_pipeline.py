import itertools

import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.data.pipeline import Shards, region_table, training_batches
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.settings import TrainSettings

WHOLE_BATCH = Shards()


def _batches(store, count, first_step=0, shards=WHOLE_BATCH, **settings):
    settings = TrainSettings(batch_size=4, **settings)
    sampler = BatchSampler(
        store,
        store.split["train"],
        NetworkSpec(store.spec, LIVER_REGIONS),
        4,
        settings.foreground_fraction,
    )
    stream = training_batches(sampler, settings, first_step, shards)
    return sampler, [tuple(map(np.asarray, pair)) for pair in itertools.islice(stream, count)]


def test_batches_without_augmentation_are_the_tiles_and_their_regions(blob_store):
    sampler, batches = _batches(blob_store, 3, augment=0.0, seed=3)
    for step, (image, truth) in enumerate(batches):
        tiles, mask = sampler.batch(3, step)
        assert image.dtype == np.float32
        np.testing.assert_array_equal(image, tiles)
        np.testing.assert_array_equal(truth[..., 0], mask[..., 0] >= 1)
        np.testing.assert_array_equal(truth[..., 1], mask[..., 0] == 2)


@pytest.mark.slow
def test_equal_seeds_give_equal_batches_and_the_stream_can_start_at_any_step(blob_store):
    _, batches = _batches(blob_store, 6, seed=1)
    _, again = _batches(blob_store, 6, seed=1)
    _, later = _batches(blob_store, 3, first_step=3, seed=1)
    for left, right in zip(batches + batches[3:], again + later, strict=True):
        np.testing.assert_array_equal(left[0], right[0])
        np.testing.assert_array_equal(left[1], right[1])
    _, other = _batches(blob_store, 1, seed=2)
    assert (other[0][0] != batches[0][0]).any()


def test_the_region_table_maps_every_label():
    table = region_table(LIVER_REGIONS)
    assert table.shape == (256, 2)
    assert table[[0, 1, 2, 3]].tolist() == [[0, 0], [1, 0], [1, 1], [0, 0]]


@pytest.mark.slow
def test_the_shards_of_a_batch_equal_the_batch_of_a_single_host(blob_store):
    _, batches = _batches(blob_store, 3, first_step=2, seed=1, augment=2.0)
    for shards in ([Shards(0, 1, 2), Shards(1, 1, 2)], [Shards(0, 2, 4), Shards(2, 2, 4)]):
        streams = [
            _batches(blob_store, 3 * part.count, first_step=2, shards=part, seed=1, augment=2.0)[1]
            for part in shards
        ]
        for step, (image, truth) in enumerate(batches):
            parts = [
                pair
                for part, stream in zip(shards, streams, strict=True)
                for pair in stream[step * part.count : (step + 1) * part.count]
            ]
            np.testing.assert_allclose(np.concatenate([p[0] for p in parts]), image, atol=1e-3)
            np.testing.assert_array_equal(np.concatenate([p[1] for p in parts]), truth)
