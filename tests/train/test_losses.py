import keras
import numpy as np
import pytest
import tensorflow as tf

from liverseg_tf.train.losses import batch_dice_loss, cross_entropy, dice_and_cross_entropy


def test_dice_loss_by_hand():
    truth = np.zeros((2, 2, 2, 1), np.float32)
    truth[0, 0, :, 0] = 1  # two voxels in the first slice, none in the second
    found = np.zeros_like(truth)
    found[0, 0, 0, 0], found[1, 1, 1, 0] = 0.5, 0.5
    # both = 0.5, sizes = 2 + 1, smoothing 1
    expected = 1 - (2 * 0.5 + 1) / (3 + 1)
    assert float(batch_dice_loss(truth, found)) == pytest.approx(expected)


def test_dice_loss_is_the_mean_over_regions_and_0_where_equal():
    rng = np.random.default_rng(0)
    truth = (rng.random((3, 8, 8, 2)) < 0.3).astype(np.float32)
    assert float(batch_dice_loss(truth, truth)) == pytest.approx(0, abs=1e-6)
    found = rng.random(truth.shape).astype(np.float32)
    single = [float(batch_dice_loss(truth[..., i : i + 1], found[..., i : i + 1])) for i in (0, 1)]
    assert float(batch_dice_loss(truth, found)) == pytest.approx(np.mean(single), rel=1e-6)


def test_slices_without_foreground_still_give_a_gradient():
    truth = np.zeros((2, 4, 4, 1), np.float32)
    truth[0, 1:3, 1:3] = 1
    found = tf.Variable(np.full_like(truth, 0.3))
    with tf.GradientTape() as tape:
        loss = batch_dice_loss(truth, found)
    gradient = tape.gradient(loss, found).numpy()
    assert (gradient[1] > 0).all()  # the empty slice is pushed towards 0
    assert (gradient[0, 1:3, 1:3] < 0).all()


def test_an_absent_region_costs_nothing_once_nothing_is_found():
    empty = np.zeros((1, 8, 8, 1), np.float32)
    assert float(batch_dice_loss(empty, empty)) == 0


def test_cross_entropy_is_that_of_keras_and_of_its_formula():
    rng = np.random.default_rng(1)
    truth = (rng.random((2, 6, 6, 2)) < 0.5).astype(np.float32)
    found = rng.uniform(0.05, 0.95, truth.shape).astype(np.float32)
    by_hand = -(truth * np.log(found) + (1 - truth) * np.log(1 - found)).mean()
    keras_loss = float(keras.losses.BinaryCrossentropy()(truth, found))
    assert float(cross_entropy(truth, found)) == pytest.approx(by_hand, rel=1e-5)
    assert float(cross_entropy(truth, found)) == pytest.approx(keras_loss, rel=1e-5)
    total = float(batch_dice_loss(truth, found)) + by_hand
    assert float(dice_and_cross_entropy(truth.astype(np.uint8), found)) == pytest.approx(
        total, rel=1e-5
    )
