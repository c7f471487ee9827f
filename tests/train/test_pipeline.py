import itertools

import numpy as np
import tensorflow as tf

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.tiles.network import NetworkSpec
from liverseg_tf.train.augment import augment_batch
from liverseg_tf.train.pipeline import region_table, training_batches
from liverseg_tf.train.sampling import BatchSampler
from liverseg_tf.train.settings import TrainSettings


def _batches(store, count, first_step=0, **settings):
    settings = TrainSettings(batch_size=4, **settings)
    sampler = BatchSampler(
        store, store.split["train"], NetworkSpec(store.spec, LIVER_REGIONS), 4, settings.foreground
    )
    stream = training_batches(sampler, settings, first_step).as_numpy_iterator()
    return sampler, list(itertools.islice(stream, count))


def test_without_augmentation_batches_are_the_tiles_and_their_regions(blob_store):
    sampler, batches = _batches(blob_store, 3, augment=0.0, seed=3)
    for step, (image, truth) in enumerate(batches):
        tiles, mask = sampler.batch(3, step)
        assert image.dtype == np.float32
        np.testing.assert_array_equal(image, tiles)
        np.testing.assert_array_equal(truth[..., 0], mask[..., 0] >= 1)
        np.testing.assert_array_equal(truth[..., 1], mask[..., 0] == 2)


def test_the_same_seed_gives_the_same_stream_and_it_can_go_on_anywhere(blob_store):
    _, all_of_it = _batches(blob_store, 6, seed=1)
    _, again = _batches(blob_store, 6, seed=1)
    _, later = _batches(blob_store, 3, first_step=3, seed=1)
    for left, right in zip(all_of_it + all_of_it[3:], again + later, strict=True):
        np.testing.assert_array_equal(left[0], right[0])
        np.testing.assert_array_equal(left[1], right[1])
    _, other = _batches(blob_store, 1, seed=2)
    assert (other[0][0] != all_of_it[0][0]).any()


def test_the_region_table_maps_every_label():
    table = region_table(LIVER_REGIONS)
    assert table.shape == (256, 2)
    assert table[[0, 1, 2, 3]].tolist() == [[0, 0], [1, 0], [1, 1], [0, 0]]


def _disc(count=16, size=96):
    y, x = np.mgrid[:size, :size]
    mask = ((y - 40) ** 2 / 500 + (x - 55) ** 2 / 250 < 1).astype(np.uint8)
    return np.tile(mask[None, ..., None], (count, 1, 1, 1))


def test_image_and_mask_move_together():
    mask = _disc()
    seed = np.array([1, 2], np.int32)
    image, moved = augment_batch(mask * 200, mask, seed, 1.0, mirror=True)
    image, moved = np.asarray(image)[..., 0], np.asarray(moved)[..., 0]
    for tile, labels, before in zip(image, moved, mask[..., 0], strict=True):
        assert (labels != before).any()
        # contrast and gamma keep the order of grey values: the middle between them is the edge
        middle = (np.median(tile[labels == 1]) + np.median(tile[labels == 0])) / 2
        found = tile > middle
        dice = 2 * (found & (labels == 1)).sum() / (found.sum() + labels.sum())
        assert dice > 0.95


def test_draws_differ_between_tiles_and_strength_0_changes_nothing():
    mask = _disc()
    seed = np.array([5, 6], np.int32)
    _, moved = augment_batch(mask * 200, mask, seed)
    assert len({labels.tobytes() for labels in np.asarray(moved)}) == len(mask)
    image, moved = augment_batch(mask * 200, mask, seed, strength=0.0)
    np.testing.assert_array_equal(moved, mask)
    np.testing.assert_allclose(image, mask * 200, atol=0.01)


def test_values_stay_in_range_and_masks_stay_labels():
    mask = _disc() * 2
    noise = np.random.default_rng(0).integers(0, 256, mask.shape, np.uint8)
    image, moved = augment_batch(noise, mask, np.array([9, 9], np.int32), 3.0)
    assert float(tf.reduce_min(image)) >= 0
    assert float(tf.reduce_max(image)) <= 255
    assert set(np.unique(moved)) <= {0, 2}
