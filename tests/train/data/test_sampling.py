import dataclasses
import itertools

import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.data.pipeline import read_batches
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.settings import TrainSettings


def _sampler(store: TileStore, context=1, foreground_fraction=0.5, batch_size=8, stride=16):
    network = NetworkSpec(store.spec, LIVER_REGIONS, context, stride)
    return BatchSampler(store, store.split["train"], network, batch_size, foreground_fraction)


def test_a_batch_is_a_pure_function_of_seed_and_step(blob_store):
    first, second = _sampler(blob_store), _sampler(blob_store)
    second.batch(0, 1)  # batches in between change nothing
    for left, right in zip(first.batch(7, 5), second.batch(7, 5), strict=True):
        np.testing.assert_array_equal(left, right)
    assert (first.batch(7, 5)[0] != first.batch(7, 6)[0]).any()
    assert (first.batch(7, 5)[0] != first.batch(8, 5)[0]).any()


def test_each_tile_comes_with_its_own_mask(blob_store):
    image, mask = _sampler(blob_store).batch(0, 0)
    cases = [blob_store.read(name) for name in blob_store.split["train"]]
    pairs = {(case.image[z].tobytes(), case.mask[z].tobytes()) for case in cases for z in range(10)}
    for tile, labels in zip(image, mask, strict=True):
        assert (tile.tobytes(), labels[..., 0].tobytes()) in pairs


def test_the_foreground_fraction_contains_the_regions_in_turn(blob_store):
    sampler = _sampler(blob_store, foreground_fraction=0.5, batch_size=8)
    for step in range(20):
        _, mask = sampler.batch(0, step)
        assert sum((tile > 0).any() for tile in mask) >= 4
        assert sum((tile == 2).any() for tile in mask) >= 2
    _, mask = _sampler(blob_store, foreground_fraction=0.0, batch_size=64).batch(0, 0)
    assert 0 < sum((tile > 0).any() for tile in mask) < 64


def test_batches_contain_training_cases_only(blob_store):
    sampler = _sampler(blob_store, foreground_fraction=0, batch_size=32)
    others = {
        blob_store.read(name).image[z].tobytes() for name in ("case_2", "case_3") for z in range(10)
    }
    for step in range(5):
        assert not {tile.tobytes() for tile in sampler.batch(0, step)[0]} & others


def test_context_stacks_neighbours_and_repeats_the_first_and_last_slice(blob_store):
    tiles = blob_store.read("case_0").image
    network = NetworkSpec(blob_store.spec, LIVER_REGIONS, 3)
    stacked = network.stack(tiles, 0)
    for channel, z in enumerate([0, 0, 1]):
        np.testing.assert_array_equal(stacked[..., channel], tiles[z, ..., 0])
    stacked = network.stack(tiles, 9)
    for channel, z in enumerate([8, 9, 9]):
        np.testing.assert_array_equal(stacked[..., channel], tiles[z, ..., 0])
    assert _sampler(blob_store, context=3).batch(0, 0)[0].shape == (8, 48, 48, 3)


def test_tiles_are_padded_to_the_stride_of_the_network(blob_store):
    image, mask = _sampler(blob_store, stride=32).batch(0, 0)
    assert image.shape[1:3] == mask.shape[1:3] == (64, 64)
    assert not image[:, 48:].any()
    assert not mask[:, :, 48:].any()


def test_regions_that_no_case_contains_are_named(blob_store):
    regions = Regions({"liver": (1, 2), "spleen": (7,)})
    network = NetworkSpec(blob_store.spec, regions)
    sampler = BatchSampler(blob_store, ["case_0"], network, 4, 0.5)
    assert sampler.absent_regions() == ["spleen"]
    sampler.batch(0, 0)
    nothing = dataclasses.replace(network, regions=Regions({"spleen": (7,)}))
    with pytest.raises(
        LiverSegError, match=r"labels of spleen.* Received cases with the labels 1, 2"
    ):
        BatchSampler(blob_store, ["case_0"], nothing, 4, 0.5)


def test_damaged_tiles_are_found_before_training(blob_store):
    path = blob_store.path("case_1")
    content = bytearray(path.read_bytes())
    offset = blob_store.read("case_1").image.offset
    content[offset + 5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(LiverSegError, match=r"case_1.* another checksum"):
        _sampler(blob_store)


def test_a_tile_that_breaks_during_training_is_told_with_its_case(blob_store):
    """What fails in the threads that read batches reaches the user as the reason."""
    sampler = _sampler(blob_store)
    with open(blob_store.path("case_1"), "r+b") as file:
        file.truncate(4096)
    batches = read_batches(sampler, TrainSettings(batch_size=sampler.batch_size))
    with pytest.raises(
        LiverSegError, match=r"^Expected .*case_1\.h5 .* too short.*\(case case_1\)$"
    ):
        list(itertools.islice(batches, 20))
