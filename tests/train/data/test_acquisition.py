import numpy as np
import pytest
from tensors import apply_to_arrays

from liverseg_tf.train.data import acquisition
from liverseg_tf.train.data.smoothing import CONTROL_POINTS


@pytest.mark.parametrize(("context", "windows"), [(3, 1), (5, 2)])
def test_thick_slices_are_means_of_neighbours_in_the_same_window(context, windows):
    rng = np.random.default_rng(0)
    weights = acquisition.draw_slice_mixtures(rng, 50, 1.0, context, windows)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    image = rng.random((50, 4, 6, context * windows)).astype(np.float32)
    mixed = apply_to_arrays(acquisition.mix_slices, image, weights.astype(np.float32))
    slices = image.reshape(50, 4, 6, context, windows)
    middle = context // 2
    neighbours = (slices[..., middle - 1, :] + slices[..., middle + 1, :]) / 2
    share = 1 - weights[:, middle * windows, middle * windows][:, None, None, None]
    assert share.min() < 0.1
    assert share.max() == pytest.approx(acquisition.MAX_NEIGHBOUR_SHARE, rel=0.1)
    expected = slices[..., middle, :] * (1 - share) + neighbours * share
    found = mixed.reshape(slices.shape)[..., middle, :]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(
        acquisition.draw_slice_mixtures(rng, 2, 0.0, context, windows),
        np.broadcast_to(np.eye(context * windows), (2, context * windows, context * windows)),
    )


def test_a_bias_field_is_a_smooth_factor_in_a_fraction_of_the_tiles():
    points = acquisition.draw_bias_fields(np.random.default_rng(0), 2000, 1.0)
    drifts = points.any(axis=(1, 2))
    assert drifts.mean() == pytest.approx(acquisition.BIAS_FIELD_PROBABILITY, abs=0.03)
    assert points[drifts].std() == pytest.approx(acquisition.BIAS_FIELD_STD, rel=0.05)
    image = np.full((4, 80, 120, 2), 0.5, np.float32)
    few = points[drifts][:4].astype(np.float32)
    factor = apply_to_arrays(acquisition.apply_bias_field, image, few) / 0.5
    np.testing.assert_array_equal(factor[..., 0], factor[..., 1])
    assert factor.std() > 0.03
    assert np.abs(np.diff(factor, axis=1)).max() < 0.05
    flat = np.zeros((4, CONTROL_POINTS, CONTROL_POINTS), np.float32)
    np.testing.assert_array_equal(apply_to_arrays(acquisition.apply_bias_field, image, flat), image)


@pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
def test_limits_leave_a_part_of_the_window(strength):
    low, high = acquisition.draw_limits(np.random.default_rng(0), 5000, strength)
    assert (low > 0).mean() == pytest.approx(acquisition.CLIPPING_PROBABILITY, abs=0.03)
    np.testing.assert_array_equal(low > 0, high < 1)
    assert low.min() == 0
    assert high.max() == 1
    assert low.max() == pytest.approx(min(strength, 1.5) * acquisition.MAX_LOW, rel=0.02)
    assert (high - low).min() > 0.15
