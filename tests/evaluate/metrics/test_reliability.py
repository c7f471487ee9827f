import numpy as np
import pytest

from liverseg_tf.evaluate.metrics.reliability import compute_reliability, count_probabilities


def _case(seed, shape=(20, 30, 30)):
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 256, shape)
    return rng.random(shape) < (levels / 255) ** 2, (levels / 255).astype(np.float32)


def test_the_bins_are_those_of_brute_force():
    cases = [_case(seed) for seed in range(3)]
    curve = compute_reliability([count_probabilities(*case) for case in cases])
    truth = np.concatenate([one.ravel() for one, _ in cases])
    p = np.concatenate([one.ravel() for _, one in cases]).astype(float)
    error = total = 0
    for number in range(10):
        inside = (p >= max(number / 10, 0.01)) & (p < min(number / 10 + 0.1, 0.99))
        assert curve.voxels[number] == inside.sum()
        assert curve.probability[number] == pytest.approx(p[inside].mean())
        assert curve.frequency[number] == pytest.approx(truth[inside].mean())
        error += inside.sum() * abs(p[inside].mean() - truth[inside].mean())
        total += inside.sum()
    assert curve.calibration_error == pytest.approx(error / total)


def test_certain_voxels_have_no_curve():
    truth, values = np.ones((1, 2, 2), bool), np.ones((1, 2, 2), np.float32)
    assert compute_reliability([count_probabilities(truth, values)]) is None
    assert compute_reliability([]) is None
