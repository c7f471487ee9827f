import dataclasses
import itertools

import numpy as np
import pytest

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.case_tiles import CaseTiles, checksum
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


LIVER = Annotation(Regions({"liver": (1, 2)}))


def test_auxiliary_regions_have_no_share_of_the_foreground(blob_store):
    network = NetworkSpec(blob_store.spec, Regions({"liver": (1,)}))
    auxiliary = Regions({"core": (2,), "spleen": (3,)})
    sampler = BatchSampler(blob_store, ["case_0", "case_1"], network, 8, 0.5, auxiliary)
    alone = BatchSampler(blob_store, ["case_0", "case_1"], network, 8, 0.5)
    np.testing.assert_array_equal(sampler.draw(0, 3), alone.draw(0, 3))
    assert sampler.absent_regions() == ["spleen"]
    assert sampler.codes.table[[1, 2, 3]].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_masks_say_where_a_region_is_not_labelled(blob_store, annotate):
    plain = _sampler(blob_store)
    _, labels = plain.batch(0, 0)
    cases = plain._case_of[plain.draw(0, 0)[:, 0]]
    store = annotate(blob_store, case_1=LIVER)
    sampler = BatchSampler(store, ["case_0", "case_1"], plain.network, 8, 0)
    assert sampler.left_out == []
    for step in range(3):
        _, codes = sampler.batch(0, step)
        numbers = sampler.draw(0, step)[:, 0]
        _, masks = zip(*sampler.all_masks(), strict=True)
        expected = np.concatenate(masks)[numbers]
        np.testing.assert_array_equal(codes[..., 0], expected)
        for number, tile in zip(numbers, codes[..., 0], strict=True):
            case = int(sampler._case_of[number])
            truth = sampler.codes.table[tile]
            mask = store.read(f"case_{case}").mask[number - sampler._first[case]]
            np.testing.assert_array_equal(truth[..., 0], mask > 0)
            assert (truth[..., 1] == ((mask == 2) if case == 0 else -1)).all()
    assert {0, 1} == set(cases.tolist())  # of both kinds
    assert labels.max() == 2


def test_nothing_is_drawn_for_a_region_where_it_is_not_labelled(blob_store, annotate):
    store = annotate(blob_store, case_0=LIVER)
    sampler = _sampler(store, foreground_fraction=1.0)
    for step in range(10):
        for number, code in zip(sampler.draw(0, step)[:, 0], range(8), strict=True):
            case = int(sampler._case_of[number])
            region = (np.random.default_rng((0, step)).integers(2) + code) % 2
            assert region == 0 or case == 1


def test_cases_that_label_no_region_are_left_out(blob_store, annotate):
    spleen = Annotation(Regions({"spleen": (3,)}))
    store = annotate(blob_store, case_0=spleen)
    sampler = _sampler(store)
    assert sampler.left_out == ["case_0"]
    assert sampler.slice_count == 10
    assert sampler.codes.are_labels
    network = NetworkSpec(store.spec, LIVER_REGIONS)
    auxiliary = Regions({"spleen": (3,)})
    assert not BatchSampler(store, ["case_0", "case_1"], network, 4, 0.5, auxiliary).left_out
    store = annotate(store, case_1=LIVER)
    with pytest.raises(LiverSegError, match=r"that label the region tumour\. Received 2 cases"):
        _sampler(store)


def test_the_padding_of_smaller_tiles_is_background_of_their_case(blob_store, annotate):
    store = annotate(blob_store, case_1=LIVER)
    sampler = _sampler(store, stride=32)  # tiles of 48 pixels become 64
    _, codes = sampler.batch(0, 0)
    assert (codes > 0).all()
    truth = sampler.codes.table[codes[:, 50:, :, 0]]
    assert (truth[..., 0] == 0).all()
    for number, tile in zip(sampler.draw(0, 0)[:, 0], truth, strict=True):
        assert (tile[..., 1] == (-1 if sampler._case_of[number] == 1 else 0)).all()
    for name, masks in sampler.all_masks():
        assert (sampler.codes.table[masks[:, 50:]][..., 1] == (-1 if name == "case_1" else 0)).all()


def test_slices_of_which_nothing_is_known_are_not_drawn(blob_store, annotate):
    tiles = blob_store.read("case_0")
    image, mask = np.array(tiles.image), np.array(tiles.mask)
    mask[:7], mask[7, :5] = 255, 255
    slices = tiles.record["slices_with"]
    slices = {label: [z for z in at if z >= 7] for label, at in slices.items()}
    record = tiles.record | {"slices_with": slices | {"255": list(range(8))}}
    record |= {"checksum": checksum(image, mask)}
    records = blob_store.cases | {"case_0": record}
    dataclasses.replace(blob_store, cases={}).write("case_0", CaseTiles(image, mask, record))
    store = dataclasses.replace(blob_store, cases=records)
    sampler = _sampler(annotate(store, case_0=Annotation(ignored=255)), foreground_fraction=0)
    drawn = {int(z) for step in range(40) for z in sampler.draw(0, step)[:, 0]}
    assert drawn == set(range(7, 20))
    truth = [sampler.codes.table[masks] for _, masks in sampler.all_masks()]
    assert (truth[0][:7] == -1).all()
    assert (truth[0][7, :5] == -1).all()
    assert (truth[0][7, 5:] >= 0).all()
    assert (truth[1] >= 0).all()


def test_only_listed_slices_are_drawn_and_any_slice_is_their_context(blob_store, list_slices):
    store = list_slices(blob_store, case_0="every=4", case_1="5")
    sampler = _sampler(store, context=3)  # tiles of 48 pixels around slices of 40
    middle, context = set(), set()
    for step in range(30):
        slices = sampler.draw(0, step)
        middle |= set(slices[:, 1].tolist())
        context |= set(slices[:, ::2].flat)
        _, codes = sampler.batch(0, step)
        assert (sampler.codes.table[codes] >= 0).all()
    assert middle == {0, 4, 8, 15}
    assert {3, 5, 7, 9, 14, 16} <= context


def test_a_region_of_the_ignored_label_has_no_slices(blob_store, list_slices):
    store = list_slices(blob_store, case_0="every=4", case_1="5")
    network = NetworkSpec(store.spec, Regions({"liver": (1, 2), "other": (255,)}))
    sampler = BatchSampler(store, ["case_0", "case_1"], network, 4, 1.0)
    assert sampler.absent_regions() == ["other"]
