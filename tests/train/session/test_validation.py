from dataclasses import replace

import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.session.validation import Validator


class _Echo:
    """Answers from the store's own masks, with an error that is known."""

    def __init__(self, store, names, spoil):
        self.masks = {}
        for name in names:
            case = store.read(name)
            for tile, mask in zip(case.image, case.mask, strict=True):
                self.masks[np.asarray(tile).tobytes()] = mask
        self.spoil = spoil

    def __call__(self, tiles):
        empty = np.zeros(tiles.shape[1:3], np.uint8)
        labels = np.stack(
            [
                self.spoil(self.masks.get(tile[:48, :48].tobytes(), empty[:48, :48]))
                for tile in tiles
            ]
        )
        masks = LIVER_REGIONS.masks(labels).astype(np.float32)
        out = np.zeros((*tiles.shape[:3], 2), np.float32)
        out[:, :48, :48] = masks
        return out


def _judge(store, batch_size=4, stride=16):
    return Validator(
        store, ("case_2", "case_3"), NetworkSpec(store.spec, LIVER_REGIONS, 1, stride), batch_size
    )


@pytest.mark.parametrize("batch_size", [3, 4, 32])
def test_the_truth_scores_1_whatever_the_batches(blob_store, batch_size):
    model = _Echo(blob_store, blob_store.split["val"] + ["case_3"], lambda mask: mask)
    scores = _judge(blob_store, batch_size, stride=32).score(model)
    whole = {"liver": 1.0, "tumour": 1.0}
    assert scores.regions == whole
    assert scores.cases == {"case_2": whole, "case_3": whole}
    assert scores.mean == 1


def test_dice_is_summed_over_slices_and_averaged_over_cases(blob_store):
    def lower_half(mask):
        return np.where(np.arange(48)[:, None] < 24, 0, mask).astype(np.uint8)

    names = ("case_2", "case_3")
    model = _Echo(blob_store, names, lower_half)
    expected = []
    for name in names:
        truth = np.asarray(blob_store.read(name).mask) >= 1
        found = truth.copy()
        found[:, :24] = False
        expected.append(2 * (truth & found).sum() / (truth.sum() + found.sum()))
    assert _judge(blob_store).score(model).regions["liver"] == pytest.approx(np.mean(expected))


def test_a_region_that_is_nowhere_is_no_score(blob_store):
    model = _Echo(blob_store, ("case_2", "case_3"), lambda mask: np.minimum(mask, 1))
    assert _judge(blob_store).score(model).regions["tumour"] == 0  # there, and not found
    tumourless = Validator(
        blob_store,
        ("case_2",),
        NetworkSpec(blob_store.spec, type(LIVER_REGIONS)({"none": (9,)})),
        4,
    )

    class Nothing:
        def __call__(self, tiles):
            return np.zeros((*tiles.shape[:3], 1), np.float32)

    assert np.isnan(tumourless.score(Nothing()).regions["none"])


def test_thinning_takes_every_nth_slice(blob_store):
    class Counting:
        seen = 0

        def __call__(self, tiles):
            self.seen += int((tiles.reshape(len(tiles), -1).max(axis=1) > 0).sum())
            return np.zeros((*tiles.shape[:3], 2), np.float32)

    model = Counting()
    _judge(blob_store, batch_size=5).score(model, every=2)
    assert _judge(blob_store).slices == 20
    assert model.seen == 10


def test_hosts_share_the_slices_and_add_up_what_they_count(blob_store):
    def lower_half(mask):
        return np.where(np.arange(48)[:, None] < 24, 0, mask).astype(np.uint8)

    model = _Echo(blob_store, ("case_2", "case_3"), lower_half)
    whole = _judge(blob_store).score(model)
    counts = []
    for index in range(3):
        judge = replace(_judge(blob_store), share=(index, 3))
        judge.score(model, total=lambda mine: counts.append(mine) or mine)
    together = _judge(blob_store).score(model, total=lambda mine: sum(counts))
    assert together == whole
