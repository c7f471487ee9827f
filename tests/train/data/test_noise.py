import numpy as np
import pytest
from scipy import stats

from liverseg_tf.train.data.noise import make_noise


def test_noise_is_normally_distributed_and_independent():
    keys = np.array([1, 2, -(2**31), 2**31 - 1], np.int32)
    noise = np.asarray(make_noise(keys, (64, 64, 2)))
    assert np.abs(noise.mean(axis=(1, 2, 3))).max() < 0.04
    assert noise.std(axis=(1, 2, 3)) == pytest.approx([1] * 4, abs=0.03)
    assert np.abs(stats.skew(noise, axis=None)) < 0.05
    assert stats.kurtosis(noise, axis=None) == pytest.approx(-0.15, abs=0.08)
    assert np.abs(np.corrcoef(noise.reshape(4, -1)) - np.eye(4)).max() < 0.05
    for axis in (1, 2, 3):
        neighbours = np.corrcoef(
            np.take(noise, range(noise.shape[axis] - 1), axis).ravel(),
            np.take(noise, range(1, noise.shape[axis]), axis).ravel(),
        )
        assert abs(neighbours[0, 1]) < 0.03
