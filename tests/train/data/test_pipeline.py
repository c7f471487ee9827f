import itertools

import numpy as np
import pytest

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.data.pipeline import Shards, training_batches
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


@pytest.mark.slow
def test_regions_stay_unknown_in_the_whole_tile_of_their_case(blob_store, annotate):
    """Also where the augmentation moves what is beyond the edge into the tile."""
    common = {"foreground_fraction": 0.0}  # so that both stores give the same slices
    all_settings = ({"augment": 0.0} | common, {"augment": 2.0, "seed": 1} | common)
    plain = [_batches(blob_store, 2, **settings)[1] for settings in all_settings]
    store = annotate(blob_store, case_1=Annotation(Regions({"liver": (1, 2)})))
    for settings, expected in zip(all_settings, plain, strict=True):
        sampler, batches = _batches(store, 2, **settings)
        for step, ((image, truth), (other, all_truth)) in enumerate(
            zip(batches, expected, strict=True)
        ):
            assert truth.dtype == np.int8
            assert image.shape == other.shape
            np.testing.assert_array_equal(truth[..., 0], all_truth[..., 0])
            slices = sampler.draw(settings.get("seed", 0), step)[:, 0]
            for number, one, full in zip(slices, truth, all_truth, strict=True):
                is_known = sampler._case_of[number] == 0
                np.testing.assert_array_equal(one[..., 1], full[..., 1] if is_known else -1)
