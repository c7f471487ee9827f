import numpy as np
import pytest
from tensors import apply_to_arrays

from liverseg_tf.train.data.correlated_noise import (
    GRAIN_RANGE,
    MAX_GRAIN_STD,
    Grain,
    add_grain,
    draw_grain,
)


def _noise(sigma, keys, size):
    count = len(keys)
    grain = Grain(np.full(count, 0.1, "f4"), np.full(count, sigma, "f4"), np.int32(keys))
    image = np.full((count, size, size + 1, 3), 0.5, np.float32)
    return apply_to_arrays(add_grain, image, grain) - 0.5


@pytest.mark.parametrize("sigma", GRAIN_RANGE)
def test_the_noise_has_the_stated_deviation_everywhere(sigma):
    keys = np.random.default_rng(0).integers(-(2**31), 2**31, 100)
    noise = _noise(sigma, keys, 32)
    assert noise.std() == pytest.approx(0.1, rel=0.03)
    assert np.abs(noise.mean()) < 0.005
    deviation = noise.std(axis=(0, 3))  # edges and corners included
    assert 0.07 < deviation.min() < deviation.max() < 0.13


def test_a_wider_filter_makes_a_coarser_texture_and_channels_differ():
    def correlation(noise, shift):
        return np.corrcoef(noise[shift:].ravel(), noise[:-shift].ravel())[0, 1]

    fine, other, again = _noise(1.0, [1, 2, 1], 128)
    coarse = _noise(2.0, [1], 128)[0]
    assert 0.4 < correlation(fine, 1) < correlation(coarse, 1)
    assert correlation(fine, 3) < correlation(coarse, 3) - 0.2
    assert abs(np.corrcoef(fine[..., 0].ravel(), fine[..., 1].ravel())[0, 1]) < 0.1
    assert (fine != other).any()
    np.testing.assert_allclose(fine, again, atol=1e-6)


def test_the_parameters_cover_their_ranges():
    grain = draw_grain(np.random.default_rng(0), 2000, 0.5)
    assert grain.std.max() == pytest.approx(MAX_GRAIN_STD / 2, rel=0.01)
    assert GRAIN_RANGE[0] <= grain.sigma.min() < grain.sigma.max() <= GRAIN_RANGE[1]
    assert len(set(grain.key)) == 2000
