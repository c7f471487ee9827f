import numpy as np
import pytest
from scipy import ndimage, stats

from liverseg_tf.train.data import intensity
from liverseg_tf.train.data.draws import ChosenTiles


@pytest.mark.parametrize("sigma", [0.6, 1.0])
def test_blur_is_a_gaussian(sigma):
    image = np.random.default_rng(0).random((2, 20, 24, 2)).astype(np.float32)
    blurred = intensity.blur(image, np.array([sigma, 1e-6], np.float32))
    for channel in range(2):
        expected = ndimage.gaussian_filter(image[0, ..., channel], sigma, truncate=3 / sigma)
        np.testing.assert_allclose(blurred[0, ..., channel], expected, atol=1e-5)
    np.testing.assert_allclose(blurred[1], image[1], atol=1e-6)


@pytest.mark.parametrize("factor", [0.5, 0.66, 0.97])
def test_low_resolution_equals_resizing_there_and_back(factor):
    image = np.random.default_rng(0).random((2, 40, 56, 2)).astype(np.float32)
    tf = pytest.importorskip("tensorflow")  # other backends have no such operation
    smaller = tf.image.resize(image, [int(40 * factor), int(56 * factor)], antialias=True)
    expected = tf.image.resize(smaller, [40, 56])
    found = intensity.reduce_resolution(image, np.full(2, factor, np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_low_resolution_removes_fine_detail_and_keeps_coarse_structure():
    y, x = np.mgrid[:64, :64]
    fine = ((x + y) % 2).astype(np.float32)[None, ..., None]
    coarse = np.sin(x / 10).astype(np.float32)[None, ..., None]
    half, whole = np.array([0.5], np.float32), np.array([1.0], np.float32)
    assert np.asarray(intensity.reduce_resolution(fine, half)).std() < 0.1
    difference = np.abs(np.asarray(intensity.reduce_resolution(coarse, half)) - coarse)
    assert difference[:, :, 4:-4].max() < 0.02
    np.testing.assert_allclose(intensity.reduce_resolution(fine, whole), fine, atol=1e-6)


def test_only_the_chosen_tiles_are_transformed():
    image = np.random.default_rng(0).random((6, 4, 4, 1)).astype(np.float32)
    chosen = ChosenTiles(
        np.array([2, 5], np.int32),
        np.array([10, 20], np.float32),
        np.array([0, 0, 0, 0, 1, 1], np.int32),
        np.array([False, False, True, False, False, False]),
    )
    found = np.asarray(
        intensity.transform_chosen(
            image, chosen, lambda tiles, value: tiles + value[:, None, None, None]
        )
    )
    np.testing.assert_allclose(found[2], image[2] + 10)
    np.testing.assert_array_equal(np.delete(found, 2, 0), np.delete(image, 2, 0))


def test_contrast_brightness_and_gamma():
    image = np.linspace(0, 1, 32, dtype=np.float32).reshape(1, 4, 8, 1)

    def change(*values):
        return np.asarray(intensity.change_intensity(image, *np.float32(values)[:, None]))

    np.testing.assert_allclose(change(0.5, 0.1, 1), (image - 0.5) * 0.5 + 0.6, atol=1e-6)
    np.testing.assert_allclose(change(1, 0, 1), image, atol=1e-6)
    np.testing.assert_allclose(change(1, 0, 0.7)[0, 1:], image[0, 1:] ** 0.7, atol=1e-6)


def test_noise_is_normally_distributed_and_independent():
    keys = np.array([1, 2, -(2**31), 2**31 - 1], np.int32)
    noise = np.asarray(intensity.make_noise(keys, (64, 64, 2)))
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
