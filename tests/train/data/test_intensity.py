import numpy as np
import pytest
from scipy import ndimage

from liverseg_tf.train.data import intensity


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


def test_contrast_brightness_and_gamma():
    image = np.linspace(0, 1, 32, dtype=np.float32).reshape(1, 4, 8, 1)

    def change(*values):
        return np.asarray(intensity.change_intensity(image, *np.float32(values)[:, None]))

    np.testing.assert_allclose(change(0.5, 0.1, 1), (image - 0.5) * 0.5 + 0.6, atol=1e-6)
    np.testing.assert_allclose(change(1, 0, 1), image, atol=1e-6)
    np.testing.assert_allclose(change(1, 0, 0.7)[0, 1:], image[0, 1:] ** 0.7, atol=1e-6)
