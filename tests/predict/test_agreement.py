from itertools import combinations

import numpy as np
import pytest

from liverseg_tf.predict.agreement import PassAgreement


def _passes(seed=0, shape=(4, 6, 20, 24, 2)):
    return np.random.default_rng(seed).random(shape, np.float32)


def _dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_it_is_the_mean_dice_of_each_two_passes():
    passes = _passes()
    disagreement = PassAgreement(("liver", "tumour"))
    disagreement.add(passes)
    for channel, found in enumerate(disagreement.agreement().values()):
        masks = passes[..., channel] > 0.5
        expected = np.mean([_dice(one, other) for one, other in combinations(masks, 2)])
        assert found == pytest.approx(expected)


def test_slabs_add_up_to_the_volume():
    passes = _passes()
    passes[:, 2:4] = 0  # a slab without a voxel
    whole, slabs = PassAgreement(("a", "b")), PassAgreement(("a", "b"))
    whole.add(passes)
    for start in range(0, 6, 2):
        slabs.add(passes[:, start : start + 2])
    assert slabs.agreement() == whole.agreement()


def test_the_more_passes_differ_the_lower_it_is():
    truth = np.zeros((3, 24, 24), bool)
    truth[:, 6:18, 6:18] = True
    found = []
    for noise in (0, 0.05, 0.2):
        flips = np.random.default_rng(1).random((4, *truth.shape)) < noise
        disagreement = PassAgreement(("liver",))
        disagreement.add((truth ^ flips)[..., None].astype(np.float32))
        found.append(disagreement.agreement()["liver"])
    assert found[0] == 1
    assert found[0] > found[1] > found[2] > 0


def test_what_was_found_by_none_or_by_one_pass():
    passes = np.zeros((3, 2, 8, 8, 2), np.float32)
    passes[0, 0, 2:4, 2:4, 1] = 1
    disagreement = PassAgreement(("none", "one"))
    assert disagreement.agreement() == {"none": None, "one": None}
    disagreement.add(passes)
    # of the three pairs, one is empty on both sides
    assert disagreement.agreement() == {"none": None, "one": 0}


def test_one_pass_says_nothing():
    disagreement = PassAgreement(("liver", "tumour"))
    disagreement.add(_passes()[:1])
    assert disagreement.agreement() == {"liver": None, "tumour": None}
