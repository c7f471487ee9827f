"""Of every backend: the tests import only Keras."""

import dataclasses
import itertools

import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.data import device_memory, device_tiles
from liverseg_tf.train.data.device_tiles import DeviceTiles, cache_bytes, cache_on_device
from liverseg_tf.train.data.pipeline import Shards, training_batches
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.settings import TrainSettings


def _sampler(store, context=1, stride=16, batch_size=6):
    network = NetworkSpec(store.spec, LIVER_REGIONS, context, stride)
    return BatchSampler(store, store.split["train"], network, batch_size, 0.5)


@pytest.mark.parametrize(("context", "stride"), [(1, 16), (5, 32)])
def test_tiles_gathered_on_the_device_are_those_of_the_store(
    blob_store, monkeypatch, context, stride
):
    monkeypatch.setattr(device_memory, "_CHUNK_ROWS", 7)  # several chunks, across both cases
    sampler = _sampler(blob_store, context, stride)
    tiles = DeviceTiles(sampler)
    for step, positions in ((0, slice(None)), (1, slice(2, 4))):
        found = tiles.gather(sampler.draw(5, step, positions))
        for left, right in zip(found, sampler.batch(5, step, positions), strict=True):
            assert np.asarray(left).dtype == np.uint8
            np.testing.assert_array_equal(np.asarray(left), right)


def test_batches_are_the_same_with_the_cache(blob_store):
    sampler = _sampler(blob_store, context=3)
    settings = TrainSettings(batch_size=6, context=3, augment=0.0, seed=4)
    for shards in (Shards(), Shards(1, 1, 2)):
        host, device = (
            itertools.islice(training_batches(sampler, settings, 2, shards, cache), 3)
            for cache in (None, DeviceTiles(sampler))
        )
        for left, right in zip(host, device, strict=True):
            for one, other in zip(left, right, strict=True):
                np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.slow
def test_augmented_batches_are_the_same_with_the_cache(blob_store):
    sampler = _sampler(blob_store, context=3)
    settings = TrainSettings(batch_size=6, context=3, seed=4, mirror=True)
    host, device = (
        itertools.islice(training_batches(sampler, settings, cache=cache), 2)
        for cache in (None, DeviceTiles(sampler))
    )
    for left, right in zip(host, device, strict=True):
        for one, other in zip(left, right, strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_tiles_of_png_files_are_uploaded_too(blob_store, tmp_path):
    store = dataclasses.replace(blob_store, folder=tmp_path / "png", storage="png")
    for name in blob_store.cases:
        store.write(name, blob_store.read(name))
    sampler = _sampler(store)
    for left, right in zip(
        DeviceTiles(sampler).gather(sampler.draw(0, 0)), sampler.batch(0, 0), strict=True
    ):
        np.testing.assert_array_equal(np.asarray(left), right)


def test_masks_take_a_quarter_of_the_memory_of_images(blob_store):
    sampler = _sampler(blob_store)
    assert sampler.mask_values == [1, 2]
    assert cache_bytes(sampler) == 20 * 48 * 48 * 5 // 4


def test_the_cache_is_used_where_it_fits(blob_store, monkeypatch):
    sampler = _sampler(blob_store)
    size = cache_bytes(sampler)

    def cache(free, enabled):
        monkeypatch.setattr(device_tiles, "free_device_memory", lambda: free)
        return cache_on_device(sampler, enabled, lambda: 10**9)

    enough = 10**9 + 2 * 10**8
    assert cache(enough, None) is not None
    assert cache(enough, True) is not None
    assert cache(enough, False) is None
    assert cache(10**9, None) is None  # what the step needs is left free
    assert cache(None, None) is None  # no GPU, or its memory is unknown
    assert size < 10**6
    with pytest.raises(
        LiverSegError,
        match=r"at most 0\.00 GB of training tiles .* step needs 1\.00 GB of the 1\.00 GB .*"
        r"Received 0\.00 GB: use --no-cache-on-device\.$",
    ):
        cache(10**9, True)


def test_without_a_gpu_the_free_memory_is_unknown():
    assert device_memory.free_device_memory() is None
