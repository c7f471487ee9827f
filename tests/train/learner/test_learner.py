import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.run_record import MODEL_FILE, write_run_record
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.train.learner.components import ema_rate
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.learner.hosts import Hosts, this_host
from liverseg_tf.train.learner.inference_model import InferenceModel
from liverseg_tf.train.learner.tensorflow_layers import (
    ConcatenatedConv2D,
    FusedBatchNormalization,
)
from liverseg_tf.train.learner.tensorflow_learner import TensorFlowLearner
from liverseg_tf.train.network.losses import LOSSES
from liverseg_tf.train.network.unet import build_training_unet
from liverseg_tf.train.settings import TrainSettings

pytestmark = pytest.mark.slow
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


def _losses(learner, count, learning_rate=1e-2, seed=0):
    return [float(learner.step(*batch, learning_rate)) for batch in _batches(count, seed)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "sgd"},
        {"loss": "focal-tversky", "deep_supervision": 2, "residual": True},
        {"attention": True, "normalisation": "instance", "dropout": 0.1, "loss": "dice-ce"},
    ],
    ids=str,
)
def test_the_loss_decreases(changes):
    losses = _losses(_learner(**changes), 40)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_and_the_saved_model_is_float32(precision):
    learner = _learner(precision)
    losses = _losses(learner, 40)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert {weight.dtype for weight in learner.inference_weights()} == {np.dtype(np.float32)}
    inference_model = InferenceModel(learner.components)
    inference_model.set_weights(learner.inference_weights())
    tiles = next(_batches(1))[0].astype(np.uint8)
    assert inference_model.model.dtype_policy.name == "float32"
    np.testing.assert_allclose(
        inference_model.probabilities(tiles), inference_model.model(tiles), atol=0.05
    )


@pytest.mark.usefixtures("eager")
def test_training_from_a_saved_state_continues_bit_for_bit():
    uninterrupted, second = _learner(dropout=0.2), _learner(dropout=0.2, seed=99)
    batches = list(_batches(6))
    for image, truth in batches[:3]:
        uninterrupted.step(image, truth, 1e-2)
    second.load_state([value.copy() for value in uninterrupted.state()])
    for image, truth in batches[3:]:
        uninterrupted.step(image, truth, 1e-2)
        second.step(image, truth, 1e-2)
    for left, right in zip(uninterrupted.state(), second.state(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.usefixtures("eager")
def test_inference_weights_are_the_exponential_moving_average():
    learner = _learner(ema_decay=0.9)
    expected = [np.asarray(weight) for weight in learner.components.model.weights]
    for count, (image, truth) in enumerate(_batches(5), 1):
        learner.step(image, truth, 1e-2)
        rate = float(ema_rate(0.9, np.float32(count)))
        assert rate == pytest.approx(1 - min(0.9, count / (count + 10)), rel=1e-6)
        weights = [np.asarray(weight) for weight in learner.components.model.weights]
        expected = [e + rate * (w - e) for e, w in zip(expected, weights, strict=True)]
    for average, reference in zip(learner.inference_weights(), expected, strict=True):
        np.testing.assert_allclose(average, reference, rtol=1e-4, atol=1e-6)
    latest = _learner(ema_decay=0.0)
    _losses(latest, 2)
    for average, weight in zip(
        latest.inference_weights(), latest.components.model.weights, strict=True
    ):
        np.testing.assert_array_equal(average, np.asarray(weight))


@pytest.mark.usefixtures("eager")
def test_the_inference_model_has_the_weights_of_the_same_layers():
    learner = _learner(deep_supervision=2, ema_decay=0.0)
    _losses(learner, 2)
    inference_model = InferenceModel(learner.components)
    inference_model.set_weights(learner.inference_weights())
    tiles = next(_batches(1))[0]
    logits = np.asarray(learner.components.model(tiles)[0])
    np.testing.assert_allclose(inference_model.model(tiles), 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert not [layer.name for layer in inference_model.model.layers if layer.name == "logits1"]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("patch", [1, 2])
def test_the_inference_model_has_no_auxiliary_regions(patch, tmp_path):
    auxiliary = Regions({"spleen": (3,), "stomach": (8,)})
    changes = {"depth": 1, "patch": patch, "ema_decay": 0.0}
    learner = _learner(auxiliary=auxiliary, **changes)
    image, truth = next(_batches(1))
    truth = np.concatenate([truth, truth], axis=-1)
    learner.step(image, truth, 1e-2)
    inference_model = InferenceModel(learner.components)
    inference_model.set_weights(learner.inference_weights())
    logits = np.asarray(learner.components.model(image))
    assert logits.shape[-1] == 4
    expected = 1 / (1 + np.exp(-logits[..., :2]))
    np.testing.assert_allclose(inference_model.model(image), expected, atol=1e-5)
    # it is the network that a run without auxiliary regions saves
    assert (
        inference_model.model.count_params()
        == InferenceModel(_learner(**changes).components).model.count_params()
    )
    # a run that starts from it has the outputs of the regions of the same names
    inference_model.model.save(tmp_path / MODEL_FILE)
    split = {"split": {"train": [], "val": [], "test": []}}
    write_run_record(tmp_path, NETWORK, "tensorflow", store=split)
    auxiliary = Regions({"kidney": (4,)})
    fine_tuned = _learner(auxiliary=auxiliary, init_from=str(tmp_path), **changes).components
    assert fine_tuned.unmatched_layers == (f"logits: kidney, no such regions in {tmp_path}",)
    logits = np.asarray(fine_tuned.model(image))[..., :2]
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), expected, atol=1e-5)


@pytest.mark.usefixtures("eager")
def test_the_weight_of_auxiliary_regions():
    auxiliary = Regions({"a": (3,), "b": (4,)})
    components = _learner(auxiliary=auxiliary, auxiliary_weight=0.4).components
    _, truth = next(_batches(1))
    truth = np.concatenate([truth, 1 - truth], axis=-1)
    logits = np.random.default_rng(0).normal(0, 1, truth.shape).astype(np.float32)
    single = [
        float(LOSSES["dice-topk"](truth[..., [n]].astype(np.float32), logits[..., [n]]))
        for n in range(4)
    ]
    expected = (np.mean(single[:2]) + 0.4 * np.mean(single[2:])) / 1.4
    assert float(components.loss(truth, logits)) == pytest.approx(expected, rel=1e-5)
    # where nothing else is labelled, the auxiliary regions are the loss
    partial = truth.astype(np.int8)
    partial[..., :2] = -1
    expected = np.mean(single[2:])
    assert float(components.loss(partial, logits)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.usefixtures("eager")
def test_synthetic_lesions_are_learnt_inside_the_organ_where_they_are_labelled():
    components = _learner(synthetic_lesions=1.0).components
    _, truth = next(_batches(1))  # the second region lies in the first one
    logits = np.random.default_rng(0).normal(0, 1, truth.shape).astype(np.float32)
    organ = truth[..., 0] > 0
    partial = truth.astype(np.int8)
    partial[:, :8, :, 1] = -1
    for given, learnt in ((truth, organ), (partial, organ & (partial[..., 1] >= 0))):
        expected = float(components.loss(given, logits))
        changed = logits.copy()
        changed[..., 1] = np.where(learnt, logits[..., 1], 7)
        assert float(components.loss(given, changed)) == expected
        changed[..., 1] = np.where(learnt, 7, logits[..., 1])
        assert float(components.loss(given, changed)) != pytest.approx(expected, rel=0.01)


@pytest.mark.usefixtures("eager")
def test_a_coarse_level_averages_the_ground_truth_where_it_is_labelled():
    components = _learner(deep_supervision=2).components
    truth = np.zeros((1, 4, 4, 2), np.float32)
    truth[0, :2, :2] = [[[1, 1], [1, 0]], [[0, 1], [0, 1]]]
    labelled = np.ones_like(truth)
    labelled[0, :2, :2, 0] = [[1, 0], [1, 0]]
    labelled[0, 2:, 2:, 1] = 0
    pooled, known = components._downsample(truth * labelled, labelled, 1)
    np.testing.assert_allclose(known[0, ..., 0], [[0.5, 1], [1, 1]])
    np.testing.assert_allclose(known[0, ..., 1], [[1, 1], [1, 0]])
    np.testing.assert_allclose(pooled[0, ..., 0], [[0.5, 0], [0, 0]])
    np.testing.assert_allclose(pooled[0, ..., 1], [[0.75, 0], [0, 0]])


def test_fused_batch_normalisation_equals_that_of_keras():
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(3, 2, (4, 8, 8, 6)).astype(np.float32))
    layers = [
        kind(momentum=0.9) for kind in (FusedBatchNormalization, keras.layers.BatchNormalization)
    ]
    results = []
    for layer in layers:
        layer.build(inputs.shape)
        layer.gamma.assign(rng.random(6) if not results else layers[0].gamma)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(outputs**3)
        results.append((outputs, tape.gradient(loss, inputs), layer(inputs, training=False)))
    for fused, expected in zip(*results, strict=True):
        np.testing.assert_allclose(fused, expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(layers[0].moving_mean, layers[1].moving_mean, rtol=1e-5)
    np.testing.assert_allclose(layers[0].moving_variance, layers[1].moving_variance, rtol=0.01)


def test_a_convolution_of_two_images_equals_that_of_their_concatenation():
    rng = np.random.default_rng(0)
    pair = [tf.constant(rng.normal(size=(2, 5, 4, n)).astype(np.float32)) for n in (3, 2)]
    options = {"padding": "same", "bias_initializer": "normal"}
    layer, plain = (kind(4, 3, **options) for kind in (ConcatenatedConv2D, keras.layers.Conv2D))
    results = []
    for convolve, concatenate in ((layer, list), (plain, lambda parts: tf.concat(parts, -1))):
        convolve(concatenate(pair))
        convolve.set_weights(layer.get_weights())
        with tf.GradientTape() as tape:
            tape.watch(pair)
            outputs = convolve(concatenate(pair))
            loss = tf.reduce_sum(outputs**2)
        weights = [variable.value for variable in convolve.trainable_variables]
        results.append([outputs, *tape.gradient(loss, [*pair, *weights])])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "changes", [{}, {"residual": True, "attention": True, "deep_supervision": 2, "patch": 2}]
)
def test_the_order_of_the_weights_is_that_of_a_network_of_keras_layers(changes):
    """A checkpoint stores the weights in this order."""
    learner = _learner(**changes)
    spec = learner.components.spec
    model = build_training_unet(spec, learner.components.settings.deep_supervision)
    assert [(w.path, w.shape) for w in learner.components.model.weights] == [
        (w.path, w.shape) for w in model.weights
    ]


@pytest.mark.usefixtures("eager")
def test_normalisation_parameters_and_biases_have_no_weight_decay():
    learner = _learner(weight_decay=0.5, ema_decay=0.0)
    empty = np.zeros((4, 16, 16, 1), np.float32)
    truth = np.zeros((4, 16, 16, 2), np.uint8)
    before = {v.path: np.asarray(v) for v in learner.components.model.trainable_variables}
    learner.step(empty, truth, 0.1)
    decays = {}
    for variable in learner.components.model.trainable_variables:
        decays[variable.path] = learner.components.optimizer._use_weight_decay(variable)
        assert before[variable.path].shape == variable.shape
    assert all(decay == path.endswith("kernel") for path, decay in decays.items())


@pytest.mark.usefixtures("eager")
def test_the_global_gradient_norm_is_clipped():
    plain = {"optimizer": "sgd", "weight_decay": 0.0}
    clipped, free = _learner(clip_norm=1e-3, **plain), _learner(clip_norm=1e3, **plain)
    update_norms = []
    for learner in (clipped, free):
        before = [np.asarray(v) for v in learner.components.model.trainable_variables]
        learner.step(*next(_batches(1)), 1.0)
        after = learner.components.model.trainable_variables
        update_norms.append(
            sum(float(((np.asarray(a) - b) ** 2).sum()) for a, b in zip(after, before, strict=True))
            ** 0.5
        )
    # the first step with Nesterov momentum is (1 + momentum) times the gradient
    assert update_norms[0] == pytest.approx(1.99e-3, rel=1e-3)
    assert update_norms[1] > 100 * update_norms[0]


def test_two_replicas_have_the_same_losses_and_weights_as_one(replica_comparison):
    assert replica_comparison["replicas"] == 2
    np.testing.assert_allclose(replica_comparison["two"], replica_comparison["one"], rtol=2e-4)
    assert replica_comparison["weights"] < 1e-4


def test_this_host_is_one_replica_on_a_cpu():
    hosts = this_host()
    assert hosts == Hosts(tf.distribute.get_strategy())
    assert hosts.local_replicas == 1


def test_too_little_memory_is_told_in_one_line():
    def fail(image, truth):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nmany lines")

    learner = TensorFlowLearner.__new__(TensorFlowLearner)
    learner.components = SimpleNamespace(optimizer=SimpleNamespace())
    learner._compiled_step = fail
    with pytest.raises(LiverSegError, match=r"not enough memory .* lower --batch-size") as caught:
        learner.step(None, None, 0.1)
    assert "\n" not in str(caught.value)
