import numpy as np
import pytest
import tensorflow as tf

from liverseg_tf.cli.train import train
from liverseg_tf.train import settings
from liverseg_tf.train.network import losses

RNG = np.random.default_rng(0)


def _logits(probabilities):
    p = np.asarray(probabilities, np.float64)
    with np.errstate(divide="ignore"):
        return np.clip(np.log(p) - np.log1p(-p), -200, 200).astype(np.float32)


def _random(shape=(3, 8, 8, 2)):
    truth = (RNG.random(shape) < 0.3).astype(np.float32)
    return truth, RNG.uniform(0.02, 0.98, shape).astype(np.float32)


def test_dice_loss_by_hand():
    truth = np.zeros((2, 2, 2, 1), np.float32)
    truth[0, 0, :, 0] = 1  # two voxels in the first slice, none in the second
    found = np.zeros_like(truth)
    found[0, 0, 0, 0], found[1, 1, 1, 0] = 0.5, 0.5
    # both = 0.5, sizes = 2 + 1, smoothing 1
    expected = 1 - (2 * 0.5 + 1) / (3 + 1)
    assert float(losses.batch_dice_loss(truth, _logits(found))) == pytest.approx(expected)


def test_dice_loss_is_the_mean_over_regions_and_0_where_equal():
    truth, found = _random()
    assert float(losses.batch_dice_loss(truth, _logits(truth))) == pytest.approx(0, abs=1e-6)
    logits = _logits(found)
    single = [
        float(losses.batch_dice_loss(truth[..., i : i + 1], logits[..., i : i + 1])) for i in (0, 1)
    ]
    assert float(losses.batch_dice_loss(truth, logits)) == pytest.approx(np.mean(single), rel=1e-6)


def test_slices_without_foreground_still_give_a_gradient():
    truth = np.zeros((2, 4, 4, 1), np.float32)
    truth[0, 1:3, 1:3] = 1
    found = tf.Variable(_logits(np.full_like(truth, 0.3)))
    with tf.GradientTape() as tape:
        loss = losses.batch_dice_loss(truth, found)
    gradient = tape.gradient(loss, found).numpy()
    assert (gradient[1] > 0).all()  # the empty slice is pushed towards 0
    assert (gradient[0, 1:3, 1:3] < 0).all()


def test_an_absent_region_costs_nothing_once_nothing_is_found():
    empty = np.zeros((1, 8, 8, 1), np.float32)
    assert float(losses.batch_dice_loss(empty, _logits(empty))) == 0


def test_cross_entropy_is_its_formula_and_that_of_tensorflow():
    truth, found = _random()
    by_hand = -(truth * np.log(found) + (1 - truth) * np.log(1 - found)).mean()
    peer = tf.nn.sigmoid_cross_entropy_with_logits(truth, _logits(found)).numpy().mean()
    ours = float(losses.cross_entropy(truth.astype(np.uint8), _logits(found)))
    assert ours == pytest.approx(by_hand, rel=1e-5)
    assert ours == pytest.approx(peer, rel=1e-6)


def test_cross_entropy_stays_finite_where_a_probability_is_0_or_1():
    logits = np.array([-1e4, -50, 0, 50, 1e4], np.float32)[:, None, None, None]
    truth = np.array([1, 0, 1, 1, 0], np.float32)[:, None, None, None]
    found = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = losses.cross_entropy(truth, found)
    assert float(loss) == pytest.approx((1e4 + 0 + np.log(2) + 0 + 1e4) / 5, rel=1e-6)
    np.testing.assert_allclose(
        tape.gradient(loss, found).numpy().ravel() * 5, [-1, 0, -0.5, 0, 1], atol=1e-6
    )


def test_the_worst_tenth_of_each_region():
    truth, found = _random((2, 10, 10, 2))
    entropies = -(truth * np.log(found) + (1 - truth) * np.log(1 - found))
    by_region = np.sort(entropies.reshape(-1, 2), axis=0)[::-1]
    ours = float(losses.top_cross_entropy(truth, _logits(found)))
    assert ours == pytest.approx(by_region[:20].mean(), rel=1e-5)
    truth, found = _random((2, 256, 256, 2))
    found[0, :40] *= 0.2  # what is hard lies together
    entropies = -(truth * np.log(found) + (1 - truth) * np.log(1 - found))
    by_region = np.sort(entropies.reshape(-1, 2), axis=0)[::-1]
    ours = float(losses.top_cross_entropy(truth, _logits(found)))
    assert ours == pytest.approx(by_region[: 2 * 256 * 256 // 10].mean(), rel=0.02)


def test_the_worst_voxels_count_as_much_as_a_region_is_found():
    truth, found = _random((2, 10, 10, 2))
    entropies = -(truth * np.log(found) + (1 - truth) * np.log(1 - found)).reshape(-1, 2)
    dice = (2 * (truth * found).sum((0, 1, 2)) + 1) / ((truth + found).sum((0, 1, 2)) + 1)
    worst = np.sort(entropies, axis=0)[::-1][:20].mean(axis=0)
    inside = truth.reshape(-1, 2)
    own = (entropies * inside).sum(axis=0) / inside.sum(axis=0)
    first = entropies.mean(axis=0) + 0.03 * own
    expected = (1 - dice + (1 - dice) * first + dice * worst).mean()
    total = float(losses.dice_and_top_cross_entropy(truth, _logits(found)))
    assert total == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("margin", "share"), [(0.0, 1.0), (9.0, 0.1)])
def test_easy_voxels_are_let_go_once_a_region_is_found(margin, share):
    """Before that all of them pull; without them a small region waits for a thousand steps."""
    truth = np.zeros((1, 20, 20, 1), np.float32)
    truth[0, 8:12, 8:12] = 1
    values = margin * (2 * truth - 1) + RNG.normal(0, 0.1, truth.shape)
    values[0, :2] = 0.5  # a tenth of the voxels is wrong in any case
    logits = tf.Variable(values.astype(np.float32))
    with tf.GradientTape() as tape:
        loss = losses.dice_and_top_cross_entropy(truth, logits)
    slopes = np.abs(tape.gradient(loss, logits).numpy())
    assert np.mean(slopes > 0.05 * slopes.max()) == pytest.approx(share)


def test_a_tiny_region_is_not_given_up():
    """That there is no tumour must not be the easiest answer of a network that knows none yet."""
    truth = np.zeros((8, 64, 64, 1), np.float32)
    truth[0, 30:34, 30:34] = 1  # a voxel in 2,000

    def loss(name, probability):
        logits = _logits(np.full_like(truth, probability))
        return float(losses.LOSSES[name](truth, logits))

    assert loss("dice-ce", 1e-4) < loss("dice-ce", 0.05)  # there it is
    assert loss("dice-topk", 1e-4) > loss("dice-topk", 0.05)
    assert loss("dice-topk", 0.5) > loss("dice-topk", 0.05)  # nor that it is everywhere


def test_focal_tversky_by_its_formula():
    truth, found = _random()
    axes = (0, 1, 2)
    both, true, seen = ((truth * found).sum(axes), truth.sum(axes), found.sum(axes))
    index = (both + 1) / (both + 0.7 * (true - both) + 0.3 * (seen - both) + 1)
    entropy = float(losses.cross_entropy(truth, _logits(found)))
    ours = float(losses.focal_tversky(truth, _logits(found)))
    assert ours == pytest.approx(((1 - index) ** 0.75).mean() + entropy, rel=1e-5)
    # missing a region costs more than finding as much too much
    half = np.zeros_like(truth)
    half[:, :4] = 1
    small, large = np.zeros_like(truth), np.ones_like(truth)
    small[:, :2] = 1
    missed = float(losses.focal_tversky(half, _logits(np.clip(small, 0.01, 0.99))))
    spurious = float(losses.focal_tversky(small, _logits(np.clip(half, 0.01, 0.99))))
    assert missed > spurious
    assert large.size == 2 * half.sum()


def test_their_names_are_those_of_the_settings_and_of_the_command():
    assert tuple(losses.LOSSES) == settings.LOSSES
    (option,) = [option for option in train.params if option.name == "loss"]
    assert tuple(option.type.choices) == settings.LOSSES


@pytest.mark.parametrize("name", losses.LOSSES)
def test_every_loss_falls_towards_the_truth_and_sums_over_replicas(name):
    truth, found = _random()
    loss = losses.LOSSES[name]
    better = np.clip(found + 0.5 * (truth - found), 0.01, 0.99)
    assert float(loss(truth, _logits(better))) < float(loss(truth, _logits(found)))
    # twice the same half: the sums of one half, doubled, are those of the whole
    twice = [np.concatenate([part, part]) for part in (truth, _logits(found))]
    whole = float(loss(*twice))
    assert float(loss(truth, _logits(found), lambda sums: 2 * sums)) == pytest.approx(
        whole, rel=1e-5
    )
