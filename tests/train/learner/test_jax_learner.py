"""Network, losses and training loop with Keras' JAX backend, in separate processes."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("jax")

_LOSSES = """
import dataclasses, json, sys, tempfile
import keras
import numpy as np
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.network.from_settings import make_unet_spec
from liverseg_tf.train.settings import TrainSettings
from liverseg_tf.train.network.unet import build_training_unet

def make(settings):
    network = NetworkSpec(stride=settings.patch * 2**settings.depth)
    if is_jax:
        from liverseg_tf.train.learner.jax_learner import JaxLearner
        return JaxLearner(network, settings, Hardware())
    from liverseg_tf.train.learner.hosts import this_host
    from liverseg_tf.train.learner.tensorflow_learner import TensorFlowLearner
    import tensorflow as tf
    tf.config.run_functions_eagerly(True)  # for a few steps, tracing would take longer
    return TensorFlowLearner(network, settings, Hardware(), this_host())

is_jax = keras.backend.backend() == "jax"

rng = np.random.default_rng(0)
image = rng.integers(0, 256, (5, 2, 16, 16, 1)).astype(np.float32)
truth = np.concatenate([image > 100, image > 200], axis=-1).astype(np.uint8)
common = TrainSettings(base_filters=4, depth=2, batch_size=2)
results = {}
for name, changes in {
    "topk": {"loss": "dice-topk", "deep_supervision": 2, "residual": True},
    "tversky": {"loss": "focal-tversky", "attention": True, "patch": 2, "optimizer": "sgd"},
}.items():
    settings = dataclasses.replace(common, **changes)
    # the same weights for both backends, whose initializers differ
    network = NetworkSpec(stride=settings.patch * 2**settings.depth)
    model = build_training_unet(make_unet_spec(network, settings), settings.deep_supervision)
    weights_rng = np.random.default_rng(1)
    # positive, because moving variances are among the weights
    model.set_weights(
        [weights_rng.uniform(0.01, 0.2, w.shape).astype(np.float32) for w in model.weights]
    )
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder + "/model.keras")
        settings = dataclasses.replace(settings, init_from=folder)
        learner = make(settings)
    results[name] = [float(learner.step(*batch, 1e-3)) for batch in zip(image, truth)]
    weights = learner.inference_weights()
    results[name + " inference weights"] = [float(np.abs(w).sum()) for w in weights]
    # copies, because a step of JAX donates the memory of the state
    state, ends = [np.array(value) for value in learner.state()], []
    for _ in range(2):
        learner.load_state([value.copy() for value in state])
        loss = float(learner.step(image[0], truth[0], 1e-3))
        ends.append([loss, *map(np.array, learner.inference_weights())])
    for left, right in zip(*ends):
        np.testing.assert_array_equal(left, right)
print(json.dumps(results))
"""


def _run(code, backend, *arguments):
    done = subprocess.run(
        [sys.executable, *code, *map(str, arguments)],
        env=os.environ | {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_losses_equal_those_of_tensorflow():
    expected, actual = (json.loads(_run(["-c", _LOSSES], b)) for b in ("tensorflow", "jax"))
    assert expected.keys() == actual.keys()
    for name in expected:
        # the moving variance of TensorFlow's fused kernel is the unbiased estimate
        tolerance = 0.15 if "inference" in name else 2e-3
        np.testing.assert_allclose(actual[name], expected[name], rtol=tolerance, err_msg=name)


@pytest.mark.slow
def test_the_command_trains_and_predicts_with_jax(blob_store, tmp_path):
    run = tmp_path / "run"
    options = ["--epochs", 2, "--steps-per-epoch", 5, "--base-filters", 4, "--depth", 2]
    cli = ["-m", "liverseg_tf"]
    output = _run(cli, "jax", "train", blob_store.folder, run, *options, "--batch-size", 4)
    assert "10 steps in" in output
    record = json.loads((run / "run.json").read_text())
    assert record["versions"]["backend"] == "jax"
    assert "jax" in record["versions"]
    with open(run / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])

    # the TensorFlow backend of this process reads the run
    from liverseg_tf.predict.models.run import RunPredictor

    tiles = np.asarray(blob_store.read("case_2").image)[:4]
    probabilities = RunPredictor(run, "float32").probabilities(tiles)
    assert probabilities.shape == (4, 48, 48, 2)
