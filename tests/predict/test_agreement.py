from itertools import combinations

import numpy as np
import pytest

from liverseg_tf.predict.agreement import PassAgreement


def _passes(seed=0, shape=(4, 6, 20, 24, 2)):
    return np.random.default_rng(seed).random(shape, np.float32)


def _dice(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def test_agreement_is_the_mean_dice_of_all_pairs_of_passes():
    passes = _passes()
    agreement = PassAgreement(("liver", "tumour"))
    agreement.update(passes)
    for channel, mean_dice in enumerate(agreement.result().values()):
        masks = passes[..., channel] > 0.5
        expected = np.mean([_dice(first, second) for first, second in combinations(masks, 2)])
        assert mean_dice == pytest.approx(expected)


def test_agreement_is_that_of_masks_at_the_selected_thresholds():
    passes = _passes(shape=(2, 3, 8, 8, 2))
    agreement = PassAgreement(("liver", "tumour"), (0.3, 0.7))
    agreement.update(passes)
    for channel, threshold in enumerate((0.3, 0.7)):
        first, second = passes[..., channel] > threshold
        result = list(agreement.result().values())[channel]
        assert result == pytest.approx(_dice(first, second))


def test_slabs_give_the_same_result_as_the_whole_volume():
    passes = _passes()
    passes[:, 2:4] = 0  # a slab in which nothing is predicted
    whole, slabs = PassAgreement(("a", "b")), PassAgreement(("a", "b"))
    whole.update(passes)
    for start in range(0, 6, 2):
        slabs.update(passes[:, start : start + 2])
    assert slabs.result() == whole.result()


def test_agreement_decreases_with_noise():
    truth = np.zeros((3, 24, 24), bool)
    truth[:, 6:18, 6:18] = True
    results = []
    for noise in (0, 0.05, 0.2):
        flips = np.random.default_rng(1).random((4, *truth.shape)) < noise
        agreement = PassAgreement(("liver",))
        agreement.update((truth ^ flips)[..., None].astype(np.float32))
        results.append(agreement.result()["liver"])
    assert results[0] == 1
    assert results[0] > results[1] > results[2] > 0


def test_regions_found_by_no_pass_or_by_one_pass():
    passes = np.zeros((3, 2, 8, 8, 2), np.float32)
    passes[0, 0, 2:4, 2:4, 1] = 1
    agreement = PassAgreement(("none", "one"))
    assert agreement.result() == {"none": None, "one": None}
    agreement.update(passes)
    # one of the three pairs consists of two empty masks and is left out
    assert agreement.result() == {"none": None, "one": 0}


def test_a_single_pass_has_no_agreement():
    agreement = PassAgreement(("liver", "tumour"))
    agreement.update(_passes()[:1])
    assert agreement.result() == {"liver": None, "tumour": None}
