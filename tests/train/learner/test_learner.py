import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.train.learner.components import ema_rate
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.learner.hosts import Hosts, this_host
from liverseg_tf.train.learner.inference_model import InferenceModel
from liverseg_tf.train.learner.tensorflow_learner import FusedBatchNormalization, TensorFlowLearner
from liverseg_tf.train.settings import TrainSettings

SETTINGS = TrainSettings(base_filters=4, depth=2, batch_size=4, seed=3)
NETWORK = NetworkSpec(TileSpec(), stride=4)


def _learner(precision="float32", **changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    return TensorFlowLearner(NETWORK, settings, Hardware(precision), this_host())


def _batches(count, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        image = rng.integers(0, 256, (4, 16, 16, 1)).astype(np.float32)
        truth = np.concatenate([image > 100, image > 200], axis=-1).astype(np.uint8)
        yield image, truth


def _losses(learner, count, rate=1e-2, seed=0):
    return [float(learner.step(*batch, rate)) for batch in _batches(count, seed)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "dice-ce"},
        {"optimizer": "sgd"},
        {"loss": "focal-tversky", "deep_supervision": 2, "residual": True},
        {"attention": True, "normalisation": "instance", "dropout": 0.1, "loss": "dice-ce"},
    ],
    ids=str,
)
def test_it_learns(changes):
    losses = _losses(_learner(**changes), 40)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_it_learns_in_mixed_precision_and_keeps_float32(precision):
    learner = _learner(precision)
    losses = _losses(learner, 40)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert {weight.dtype for weight in learner.inference_weights()} == {np.dtype(np.float32)}
    kept = InferenceModel(learner.parts)
    kept.take(learner.inference_weights())
    tiles = next(_batches(1))[0].astype(np.uint8)
    assert kept.model.dtype_policy.name == "float32"
    np.testing.assert_allclose(kept.probabilities(tiles), kept.model(tiles), atol=0.05)


def test_it_goes_on_from_its_state_bit_for_bit():
    whole, first = _learner(dropout=0.2), _learner(dropout=0.2)
    batches = list(_batches(6))
    for image, truth in batches:
        whole.step(image, truth, 1e-2)
    for image, truth in batches[:3]:
        first.step(image, truth, 1e-2)
    second = _learner(dropout=0.2, seed=99)
    second.load_state(first.state())
    for image, truth in batches[3:]:
        second.step(image, truth, 1e-2)
    for left, right in zip(whole.state(), second.state(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_what_is_kept_is_the_running_mean_of_the_weights():
    learner = _learner(ema_decay=0.9)
    expected = [np.asarray(weight) for weight in learner.parts.model.weights]
    for count, (image, truth) in enumerate(_batches(5), 1):
        learner.step(image, truth, 1e-2)
        rate = float(ema_rate(0.9, np.float32(count)))
        assert rate == pytest.approx(1 - min(0.9, count / (count + 10)), rel=1e-6)
        weights = [np.asarray(weight) for weight in learner.parts.model.weights]
        expected = [e + rate * (w - e) for e, w in zip(expected, weights, strict=True)]
    for kept, mean in zip(learner.inference_weights(), expected, strict=True):
        np.testing.assert_allclose(kept, mean, rtol=1e-4, atol=1e-6)
    latest = _learner(ema_decay=0.0)
    _losses(latest, 2)
    for kept, weight in zip(latest.inference_weights(), latest.parts.model.weights, strict=True):
        np.testing.assert_array_equal(kept, np.asarray(weight))


def test_the_kept_network_has_the_weights_of_the_same_layers():
    learner = _learner(deep_supervision=2, ema_decay=0.0)
    _losses(learner, 2)
    kept = InferenceModel(learner.parts)
    kept.take(learner.inference_weights())
    tiles = next(_batches(1))[0]
    logits = np.asarray(learner.parts.model(tiles)[0])
    np.testing.assert_allclose(kept.model(tiles), 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert not [layer.name for layer in kept.model.layers if layer.name == "logits1"]


def test_fused_normalisation_is_that_of_keras():
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(3, 2, (4, 8, 8, 6)).astype(np.float32))
    layers = [
        kind(momentum=0.9) for kind in (FusedBatchNormalization, keras.layers.BatchNormalization)
    ]
    found = []
    for layer in layers:
        layer.build(inputs.shape)
        layer.gamma.assign(rng.random(6) if not found else layers[0].gamma)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(outputs**3)
        found.append((outputs, tape.gradient(loss, inputs), layer(inputs, training=False)))
    for ours, keras_own in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(layers[0].moving_mean, layers[1].moving_mean, rtol=1e-5)
    np.testing.assert_allclose(layers[0].moving_variance, layers[1].moving_variance, rtol=0.01)


def test_norms_and_biases_do_not_decay():
    learner = _learner(weight_decay=0.5, ema_decay=0.0)
    empty = np.zeros((4, 16, 16, 1), np.float32)
    truth = np.zeros((4, 16, 16, 2), np.uint8)
    before = {v.path: np.asarray(v) for v in learner.parts.model.trainable_variables}
    learner.step(empty, truth, 0.1)
    decays = {}
    for variable in learner.parts.model.trainable_variables:
        decays[variable.path] = learner.parts.optimizer._use_weight_decay(variable)
        assert before[variable.path].shape == variable.shape
    assert all(decay == path.endswith("kernel") for path, decay in decays.items())


def test_a_long_gradient_is_cut():
    plain = {"optimizer": "sgd", "weight_decay": 0.0}
    calm, wild = _learner(clip_norm=1e-3, **plain), _learner(clip_norm=1e3, **plain)
    moved = []
    for learner in (calm, wild):
        before = [np.asarray(v) for v in learner.parts.model.trainable_variables]
        learner.step(*next(_batches(1)), 1.0)
        after = learner.parts.model.trainable_variables
        moved.append(
            sum(float(((np.asarray(a) - b) ** 2).sum()) for a, b in zip(after, before, strict=True))
            ** 0.5
        )
    # Nesterov's first step is (1 + momentum) times the gradient
    assert moved[0] == pytest.approx(1.99e-3, rel=1e-3)
    assert moved[1] > 100 * moved[0]


def test_losses_of_two_replicas_are_those_of_one(two_processors):
    """In a process of its own, whose processor counts as two devices."""
    assert two_processors["replicas"] == 2
    np.testing.assert_allclose(two_processors["two"], two_processors["one"], rtol=2e-4)
    assert two_processors["weights"] < 1e-4


def test_this_host_is_one_replica_on_a_processor():
    hosts = this_host()
    assert hosts == Hosts(tf.distribute.get_strategy())
    assert hosts.local_replicas == 1
