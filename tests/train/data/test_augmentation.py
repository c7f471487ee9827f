import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from liverseg_tf.train.data import augmentation
from liverseg_tf.train.data.augmentation import augment_batch
from liverseg_tf.train.data.random import BatchRandom, BatchSlice


def _random(count, seed=(1, 2)):
    return BatchRandom(np.array(seed, np.int32), BatchSlice(0, count, count))


def _disc(count=16, size=96):
    y, x = np.mgrid[:size, :size]
    mask = ((y - 40) ** 2 / 500 + (x - 55) ** 2 / 250 < 1).astype(np.uint8)
    return np.tile(mask[None, ..., None], (count, 1, 1, 1))


def test_image_and_mask_move_together():
    mask = _disc(32)
    image, moved = augment_batch(mask * 200, mask, _random(32), 1.0, mirror=True)
    image, moved = np.asarray(image)[..., 0], np.asarray(moved)[..., 0]
    for tile, labels, before in zip(image, moved, mask[..., 0], strict=True):
        assert (labels != before).any()
        # contrast and gamma keep the order of grey values, so the edge is halfway between them
        middle = (np.median(tile[labels == 1]) + np.median(tile[labels == 0])) / 2
        segmented = tile > middle
        dice = 2 * (segmented & (labels == 1)).sum() / (segmented.sum() + labels.sum())
        assert dice > 0.93


def test_tiles_are_moved_differently_and_strength_0_changes_nothing():
    mask = _disc()
    _, moved = augment_batch(mask * 200, mask, _random(16))
    assert len({labels.tobytes() for labels in np.asarray(moved)}) == len(mask)
    image, moved = augment_batch(mask * 200, mask, _random(16), strength=0.0)
    np.testing.assert_array_equal(moved, mask)
    np.testing.assert_allclose(image, mask * 200.0, atol=0.01)


def test_intensities_stay_in_range_and_masks_stay_labels():
    mask = _disc() * 2
    noise = np.random.default_rng(0).integers(0, 256, (*mask.shape[:3], 3), np.uint8)
    image, moved = augment_batch(noise, mask, _random(16), 3.0)
    assert image.shape == noise.shape
    assert float(tf.reduce_min(image)) >= 0
    assert float(tf.reduce_max(image)) <= 255
    assert set(np.unique(moved)) <= {0, 2}


@pytest.mark.slow
def test_augmentation_runs_in_a_compiled_function_for_any_size():
    @tf.function
    def augment(image, mask, seed):
        return augment_batch(image, mask, BatchRandom(seed, BatchSlice(0, 4, 4)), 1.0)

    for size in (32, 48):
        mask = _disc(4, 96)[:, :size, :size]
        image, labels = augment(tf.constant(mask * 200), tf.constant(mask), tf.constant([1, 2]))
        assert image.shape == labels.shape == (4, size, size, 1)


@pytest.mark.parametrize("sigma", [0.6, 1.0])
def test_blur_is_a_gaussian(sigma):
    image = np.random.default_rng(0).random((2, 20, 24, 2)).astype(np.float32)
    blurred = augmentation._blur(image, tf.constant([sigma, 1e-6]))
    for channel in range(2):
        expected = ndimage.gaussian_filter(image[0, ..., channel], sigma, truncate=3 / sigma)
        np.testing.assert_allclose(blurred[0, ..., channel], expected, atol=1e-5)
    np.testing.assert_allclose(blurred[1], image[1], atol=1e-6)


def test_low_resolution_removes_fine_detail_and_keeps_coarse_structure():
    y, x = np.mgrid[:64, :64]
    fine = ((x + y) % 2).astype(np.float32)[None, ..., None]
    coarse = np.sin(x / 10).astype(np.float32)[None, ..., None]
    assert np.asarray(augmentation._simulate_low_resolution(fine, 0.5)).std() < 0.1
    difference = np.abs(np.asarray(augmentation._simulate_low_resolution(coarse, 0.5)) - coarse)[
        :, :, 4:-4
    ]
    assert difference.max() < 0.02
    np.testing.assert_allclose(augmentation._simulate_low_resolution(fine, 1.0), fine, atol=1e-6)


def test_intensity_changes_reach_their_range_and_noise_its_fraction_of_the_tiles():
    flat = np.full((600, 8, 8, 1), 0.5, np.float32)
    changed = np.asarray(augmentation._change_intensity(flat, _random(600), 1.0))[:, 0, 0, 0]
    assert changed.min() < 0.4
    assert changed.max() > 0.6
    mask = np.zeros((600, 8, 8, 1), np.uint8)
    image, _ = augment_batch((flat * 255).astype(np.uint8), mask, _random(600), 1.0)
    noisy = np.asarray(image)[:, 3:5, 3:5, 0].std(axis=(1, 2)) > 0.3
    assert noisy.mean() == pytest.approx(augmentation.NOISE_PROBABILITY, abs=0.08)
