import numpy as np
import pytest
import tensorflow as tf

from liverseg_tf import choices
from liverseg_tf.cli.train import train
from liverseg_tf.train.network import losses
from liverseg_tf.train.network.loss_weights import LossWeights

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
    predicted = np.zeros_like(truth)
    predicted[0, 0, 0, 0], predicted[1, 1, 1, 0] = 0.5, 0.5
    # overlap 0.5, volumes 2 + 1, smoothing 1
    expected = 1 - (2 * 0.5 + 1) / (3 + 1)
    assert float(losses.batch_dice_loss(truth, _logits(predicted))) == pytest.approx(expected)


def test_dice_loss_is_the_mean_over_regions_and_0_for_a_perfect_prediction():
    truth, predicted = _random()
    assert float(losses.batch_dice_loss(truth, _logits(truth))) == pytest.approx(0, abs=1e-6)
    logits = _logits(predicted)
    single = [
        float(losses.batch_dice_loss(truth[..., i : i + 1], logits[..., i : i + 1])) for i in (0, 1)
    ]
    assert float(losses.batch_dice_loss(truth, logits)) == pytest.approx(np.mean(single), rel=1e-6)


def test_slices_without_foreground_still_give_a_gradient():
    truth = np.zeros((2, 4, 4, 1), np.float32)
    truth[0, 1:3, 1:3] = 1
    predicted = tf.Variable(_logits(np.full_like(truth, 0.3)))
    with tf.GradientTape() as tape:
        loss = losses.batch_dice_loss(truth, predicted)
    gradient = tape.gradient(loss, predicted).numpy()
    assert (gradient[1] > 0).all()  # the empty slice is pushed towards 0
    assert (gradient[0, 1:3, 1:3] < 0).all()


def test_an_absent_region_has_loss_0_if_nothing_is_predicted():
    empty = np.zeros((1, 8, 8, 1), np.float32)
    assert float(losses.batch_dice_loss(empty, _logits(empty))) == 0


def test_cross_entropy_equals_its_formula_and_that_of_tensorflow():
    truth, predicted = _random()
    by_hand = -(truth * np.log(predicted) + (1 - truth) * np.log(1 - predicted)).mean()
    peer = tf.nn.sigmoid_cross_entropy_with_logits(truth, _logits(predicted)).numpy().mean()
    ours = float(losses.cross_entropy(truth.astype(np.uint8), _logits(predicted)))
    assert ours == pytest.approx(by_hand, rel=1e-5)
    assert ours == pytest.approx(peer, rel=1e-6)


def test_cross_entropy_is_finite_for_probabilities_of_0_and_1():
    logits = np.array([-1e4, -50, 0, 50, 1e4], np.float32)[:, None, None, None]
    truth = np.array([1, 0, 1, 1, 0], np.float32)[:, None, None, None]
    predicted = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = losses.cross_entropy(truth, predicted)
    assert float(loss) == pytest.approx((1e4 + 0 + np.log(2) + 0 + 1e4) / 5, rel=1e-6)
    np.testing.assert_allclose(
        tape.gradient(loss, predicted).numpy().ravel() * 5, [-1, 0, -0.5, 0, 1], atol=1e-6
    )


def _top_cross_entropy(truth, predicted):
    """The TopK term of the dice-topk loss, averaged over the regions."""
    entropies = np.asarray(losses._cross_entropies(*losses._by_region(truth, _logits(predicted))))
    is_worst = np.asarray(losses._are_worst(entropies))
    return np.mean(np.average(entropies, axis=1, weights=is_worst))


def test_top_cross_entropy_is_the_mean_over_the_worst_tenth_of_each_region():
    truth, predicted = _random((2, 10, 10, 2))
    entropies = -(truth * np.log(predicted) + (1 - truth) * np.log(1 - predicted))
    by_region = np.sort(entropies.reshape(-1, 2), axis=0)[::-1]
    ours = float(_top_cross_entropy(truth, predicted))
    assert ours == pytest.approx(by_region[:20].mean(), rel=1e-5)
    truth, predicted = _random((2, 256, 256, 2))
    predicted[0, :40] *= 0.2  # the difficult voxels are adjacent
    entropies = -(truth * np.log(predicted) + (1 - truth) * np.log(1 - predicted))
    by_region = np.sort(entropies.reshape(-1, 2), axis=0)[::-1]
    ours = float(_top_cross_entropy(truth, predicted))
    assert ours == pytest.approx(by_region[: 2 * 256 * 256 // 10].mean(), rel=0.02)


def test_the_weight_of_the_worst_voxels_is_the_dice_of_the_region():
    truth, predicted = _random((2, 10, 10, 2))
    entropies = -(truth * np.log(predicted) + (1 - truth) * np.log(1 - predicted)).reshape(-1, 2)
    dice = (2 * (truth * predicted).sum((0, 1, 2)) + 1) / ((truth + predicted).sum((0, 1, 2)) + 1)
    worst = np.sort(entropies, axis=0)[::-1][:20].mean(axis=0)
    inside = truth.reshape(-1, 2)
    over_region = (entropies * inside).sum(axis=0) / inside.sum(axis=0)
    early = entropies.mean(axis=0) + 0.03 * over_region
    expected = (1 - dice + (1 - dice) * early + dice * worst).mean()
    ours = float(losses.dice_and_top_cross_entropy(truth, _logits(predicted)))
    assert ours == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("margin", "fraction"), [(0.0, 1.0), (9.0, 0.1)])
def test_easy_voxels_have_no_gradient_once_a_region_is_found(margin, fraction):
    """Before, all voxels have one: otherwise a small region takes a thousand steps to be found."""
    truth = np.zeros((1, 20, 20, 1), np.float32)
    truth[0, 8:12, 8:12] = 1
    values = margin * (2 * truth - 1) + RNG.normal(0, 0.1, truth.shape)
    values[0, :2] = 0.5  # a tenth of the voxels is uncertain in any case
    logits = tf.Variable(values.astype(np.float32))
    with tf.GradientTape() as tape:
        loss = losses.dice_and_top_cross_entropy(truth, logits)
    gradients = np.abs(tape.gradient(loss, logits).numpy())
    assert np.mean(gradients > 0.05 * gradients.max()) == pytest.approx(fraction)


def test_an_empty_prediction_of_a_tiny_region_is_not_a_minimum():
    """An untrained network must not be drawn towards predicting no tumour at all."""
    truth = np.zeros((8, 64, 64, 1), np.float32)
    truth[0, 30:34, 30:34] = 1  # one voxel in 2,000

    def loss(name, probability):
        logits = _logits(np.full_like(truth, probability))
        return float(losses.LOSSES[name](truth, logits))

    assert loss("dice-ce", 1e-4) < loss("dice-ce", 0.05)  # with this loss it is
    assert loss("dice-topk", 1e-4) > loss("dice-topk", 0.05)
    assert loss("dice-topk", 0.5) > loss("dice-topk", 0.05)  # nor is a prediction everywhere


def test_focal_tversky_equals_its_formula():
    truth, predicted = _random()
    axes = (0, 1, 2)
    overlap = (truth * predicted).sum(axes)
    index = (overlap + 1) / (
        overlap + 0.7 * (truth.sum(axes) - overlap) + 0.3 * (predicted.sum(axes) - overlap) + 1
    )
    entropy = float(losses.cross_entropy(truth, _logits(predicted)))
    ours = float(losses.focal_tversky(truth, _logits(predicted)))
    assert ours == pytest.approx(((1 - index) ** 0.75).mean() + entropy, rel=1e-5)
    # missing voxels costs more than the same number of false positives
    half = np.zeros_like(truth)
    half[:, :4] = 1
    small, large = np.zeros_like(truth), np.ones_like(truth)
    small[:, :2] = 1
    missed = float(losses.focal_tversky(half, _logits(np.clip(small, 0.01, 0.99))))
    spurious = float(losses.focal_tversky(small, _logits(np.clip(half, 0.01, 0.99))))
    assert missed > spurious
    assert large.size == 2 * half.sum()


def test_the_losses_are_those_of_choices_and_of_the_command():
    assert tuple(losses.LOSSES) == choices.LOSSES
    (option,) = [option for option in train.params if option.name == "loss"]
    assert tuple(option.type.choices) == choices.LOSSES


@pytest.mark.parametrize("name", losses.LOSSES)
def test_every_loss_decreases_towards_the_truth_and_sums_over_replicas(name):
    truth, predicted = _random()
    loss = losses.LOSSES[name]
    better = np.clip(predicted + 0.5 * (truth - predicted), 0.01, 0.99)
    assert float(loss(truth, _logits(better))) < float(loss(truth, _logits(predicted)))
    # of a batch of two equal halves, the sums are twice those of one half
    twice = [np.concatenate([part, part]) for part in (truth, _logits(predicted))]
    whole = float(loss(*twice))
    doubled = LossWeights(sum_over_replicas=lambda sums: 2 * sums)
    assert float(loss(truth, _logits(predicted), doubled)) == pytest.approx(whole, rel=1e-5)


def _loss_by_hand(name, truth, predicted, labelled, region_weights):
    """Each loss as a mean over regions that are known somewhere, from their known voxels only."""
    values = []
    for region in range(truth.shape[-1]):
        known = labelled[..., region] > 0
        t, p = truth[..., region][known].astype(float), predicted[..., region][known].astype(float)
        if not known.any():
            continue
        entropies = -(t * np.log(p) + (1 - t) * np.log(1 - p))
        dice = (2 * (t * p).sum() + 1) / (t.sum() + p.sum() + 1)
        index = ((t * p).sum() + 1) / (
            (t * p).sum() + 0.7 * (t * (1 - p)).sum() + 0.3 * ((1 - t) * p).sum() + 1
        )
        worst = np.sort(entropies)[::-1][: max(1, round(len(entropies) * 0.1))].mean()
        inside = (entropies * t).sum() / max(t.sum(), 1)
        early = entropies.mean() + 0.03 * inside
        value = {
            "dice-ce": 1 - dice + entropies.mean(),
            "dice-topk": 1 - dice + (1 - dice) * early + dice * worst,
            "focal-tversky": (1 - index) ** 0.75 + entropies.mean(),
        }[name]
        values.append((region_weights[region], value))
    weights, losses_of_regions = np.array(values).T
    return (weights * losses_of_regions).sum() / weights.sum()


@pytest.mark.parametrize("name", losses.LOSSES)
def test_voxels_that_are_not_labelled_carry_no_loss(name):
    """The region of the third channel is labelled nowhere, the second one in two of three tiles."""
    truth, predicted = _random((3, 20, 20, 3))
    labelled = np.ones_like(truth)
    labelled[..., 2], labelled[1, ..., 1], labelled[2, :7, :, 0] = 0, 0, 0
    loss, weights = losses.LOSSES[name], np.array([0.5, 0.5, 0.25], np.float32)
    logits = tf.Variable(_logits(predicted))
    with tf.GradientTape() as tape:
        ours = loss(truth, logits, LossWeights(weights, labelled))
    expected = _loss_by_hand(name, truth, predicted, labelled, weights)
    assert float(ours) == pytest.approx(expected, rel=1e-5)
    gradient = tape.gradient(ours, logits).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient[labelled == 0] == 0).all()
    assert (gradient[..., 1][labelled[..., 1] > 0] != 0).mean() > 0.05
    # what stands there has no effect at all
    other = np.where(labelled > 0, truth, 1 - truth)
    again = loss(
        other * labelled, np.where(labelled > 0, logits, 9), LossWeights(weights, labelled)
    )
    assert float(again) == pytest.approx(float(ours), rel=1e-6)
    # with two replicas that hold half of the voxels each, sums are exchanged
    twice = [np.concatenate([part, part]) for part in (truth, _logits(predicted), labelled)]
    whole = float(loss(*twice[:2], LossWeights(weights, twice[2])))
    doubled = LossWeights(weights, labelled, lambda sums: 2 * sums)
    assert float(loss(truth, _logits(predicted), doubled)) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_weights_of_regions_and_labels_everywhere_change_no_loss_by_themselves(name):
    truth, predicted = _random((2, 20, 20, 2))
    logits, loss = _logits(predicted), losses.LOSSES[name]
    plain = float(loss(truth, logits))
    everywhere = LossWeights(labelled=np.ones_like(truth))
    assert float(loss(truth, logits, everywhere)) == pytest.approx(plain, rel=1e-5)
    assert float(loss(truth, logits, LossWeights(np.float32([3, 3])))) == pytest.approx(plain)
    single = [float(loss(truth[..., [n]], logits[..., [n]])) for n in (0, 1)]
    weighted = float(loss(truth, logits, LossWeights(np.float32([1, 0.5]))))
    assert weighted == pytest.approx((single[0] + 0.5 * single[1]) / 1.5, rel=1e-5)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_a_batch_without_any_labelled_region_has_no_loss(name):
    truth, predicted = _random((1, 8, 8, 2))
    logits = tf.Variable(_logits(predicted))
    with tf.GradientTape() as tape:
        loss = losses.LOSSES[name](truth, logits, LossWeights(labelled=np.zeros_like(truth)))
    assert float(loss) == 0
    assert (tape.gradient(loss, logits).numpy() == 0).all()
