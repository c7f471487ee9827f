import numpy as np
import pytest

from liverseg_tf.predict.confidence import PassConfidence


def _passes(seed=0, shape=(2, 6, 20, 24, 2)):
    return np.random.default_rng(seed).random(shape, np.float32)


def test_it_is_the_soft_dice_with_the_own_mask_in_the_mean_over_the_passes():
    passes = _passes()
    confidence = PassConfidence(("liver", "tumour"), (0.3, 0.7))
    confidence.update(list(passes))
    for region, threshold in enumerate((0.3, 0.7)):
        expected = []
        for values in passes[..., region].astype(np.float64):
            mask = values > np.float32(threshold)
            total = values[values > 0.01].sum()
            expected.append(2 * (values * mask).sum() / (total + mask.sum()))
        result = list(confidence.result().values())[region]
        assert result == pytest.approx(np.mean(expected), rel=1e-6)


def test_slabs_give_the_same_result_as_the_whole_volume():
    passes = _passes()
    passes[:, 2:4] = 0
    whole, slabs = PassConfidence(("a", "b")), PassConfidence(("a", "b"))
    whole.update(passes)
    for start in range(0, 6, 2):
        slabs.update(passes[:, start : start + 2])
    assert slabs.result() == pytest.approx(whole.result())


def test_it_is_the_expected_dice_of_calibrated_independent_voxels():
    rng = np.random.default_rng(0)
    values = rng.beta(0.4, 0.6, (1, 40, 50, 50, 1)).astype(np.float32)
    confidence = PassConfidence(("liver",))
    confidence.update(values)
    truth, mask = rng.random(values.shape) < values, values > 0.5
    dice = 2 * (truth & mask).sum() / (truth.sum() + mask.sum())
    assert confidence.result()["liver"] == pytest.approx(dice, abs=0.01)


def test_an_empty_mask_has_no_confidence_and_a_missing_one_counts_as_none():
    confidence = PassConfidence(("a", "b"))
    passes = np.zeros((2, 1, 4, 4, 2), np.float32)
    passes[0, ..., 1] = 1
    confidence.update(passes)
    assert confidence.result() == {"a": None, "b": 0.5}
    assert PassConfidence(("a",)).result() == {"a": None}


def test_a_faint_haze_in_the_whole_volume_changes_nothing():
    values = np.full((1, 8, 64, 64, 1), 0.004, np.float32)
    values[0, 4, :4, :4] = 0.9
    confidence = PassConfidence(("a",))
    confidence.update(values)
    assert confidence.result()["a"] == pytest.approx(2 * 0.9 / 1.9)
