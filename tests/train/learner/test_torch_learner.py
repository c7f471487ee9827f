"""Training with PyTorch; `scripts/test_torch.sh` installs it and runs this module."""
# ruff: noqa: E402 (nothing is imported without PyTorch)

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import keras

if keras.backend.backend() != "torch":
    pytest.skip("needs KERAS_BACKEND=torch", allow_module_level=True)

import backend_losses
from commands import run_liverseg

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.model.torch_layers import with_torch_layers
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.train.learner import torch_learner
from liverseg_tf.train.learner.components import ema_rate
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.learner.inference_model import InferenceModel
from liverseg_tf.train.learner.torch_graph import compile_graph
from liverseg_tf.train.learner.torch_learner import TorchLearner
from liverseg_tf.train.network.unet import UNetSpec, build_training_unet
from liverseg_tf.train.settings import TrainSettings

SETTINGS = TrainSettings(base_filters=4, depth=2, batch_size=2, seed=3)
NETWORK = NetworkSpec(TileSpec(), stride=4)
REPOSITORY = Path(__file__).parents[3]
XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def _learner(precision="float32", compiled=False, **changes):
    return TorchLearner(
        NETWORK, dataclasses.replace(SETTINGS, **changes), Hardware(precision, compiled)
    )


def _losses(learner, count, learning_rate=1e-2):
    return [float(learner.step(*batch, learning_rate)) for batch in backend_losses.batches(count)]


def _python_with(backend):
    """Return a Python that has a Keras backend: this one, or that of the repository."""
    if find_spec({"tensorflow": "tensorflow", "jax": "jax"}[backend]) is not None:
        return sys.executable
    other = REPOSITORY / ".venv" / "bin" / "python"
    if not other.exists():
        pytest.skip(f"no Python with {backend}")
    return other


@pytest.fixture(scope="module")
def torch_losses(tmp_path_factory):
    """The losses of many settings, and the folder of their models."""
    folder = tmp_path_factory.mktemp("models")
    settings = backend_losses.SETTINGS | backend_losses.MORE_SETTINGS
    return backend_losses.compute_losses(settings, folder), folder


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_losses_and_models_equal_those_of_other_backends(torch_losses, tmp_path, backend):
    python, (expected, models) = _python_with(backend), torch_losses
    folder = shutil.copytree(models, tmp_path / "models")
    settings = ["all"] if backend == "tensorflow" else []  # JAX takes long to compile
    # the process also checks that it predicts the same with the models of PyTorch
    done = subprocess.run(
        [str(python), backend_losses.__file__, str(folder), *settings],
        env=os.environ
        | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        | {"XLA_FLAGS": XLA_FLAGS, "JAX_PLATFORMS": "cpu", "PYTHONPATH": _python_path()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    actual = json.loads(done.stdout.splitlines()[-1])
    for name in actual:
        tolerance = {"rtol": 0.05} if "inference" in name else {"rtol": 0, "atol": 1e-4}
        np.testing.assert_allclose(actual[name], expected[name], **tolerance, err_msg=name)
    assert list(folder.glob(f"*-{backend}.keras"))
    backend_losses.check_models(folder)


def _python_path():
    return os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests" / "support")])


def test_the_command_trains_and_predicts_without_tensorflow(
    make_blob_store, small_phantoms, tmp_path
):
    store, run = make_blob_store(tmp_path), tmp_path / "run"
    options = ["--epochs", 2, "--steps-per-epoch", 5, "--base-filters", 4, "--depth", 2]
    done = run_liverseg("train", store.folder, run, *options, "--batch-size", 4, "--no-tune")
    assert "10 steps in" in done.output, done.output
    record = json.loads((run / "run.json").read_text())
    assert record["versions"]["backend"] == "torch"
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0]
    small_phantoms(tmp_path / "set", 1)
    image = tmp_path / "set" / "imagesTr" / "phantom_000.nii.gz"
    done = run_liverseg("predict", image, "--model", run, "--out", tmp_path / "masks")
    assert "1 mask written, 0 failed" in done.output, done.output
    assert "tensorflow" not in sys.modules
    done = run_liverseg("train", store.folder, run, *options, "--hosts", "slurm")
    assert done.exit_code == 2
    assert "Received torch, which trains on one host" in done.output


def test_training_from_a_saved_state_continues_bit_for_bit():
    uninterrupted, second = _learner(dropout=0.2), _learner(dropout=0.2, seed=99)
    batches = list(backend_losses.batches(6))
    for batch in batches[:3]:
        uninterrupted.step(*batch, 1e-2)
    second.load_state([value.copy() for value in uninterrupted.state()])
    for batch in batches[3:]:
        uninterrupted.step(*batch, 1e-2)
        second.step(*batch, 1e-2)
    for left, right in zip(uninterrupted.state(), second.state(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_state_of_another_network_is_refused():
    with pytest.raises(ValueError, match="other shapes"):
        _learner().load_state(_learner(base_filters=2).state())
    with pytest.raises(ValueError, match="other shapes"):
        _learner().load_state(_learner(ema_decay=0.0).state())


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_and_the_saved_model_is_float32(precision):
    learner = _learner(precision)
    losses = _losses(learner, 30)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert {weight.dtype for weight in learner.inference_weights()} == {np.dtype(np.float32)}
    model = InferenceModel(learner.components)
    model.set_weights(learner.inference_weights())
    assert model.model.dtype_policy.name == "float32"
    assert {type(layer).__module__.split(".")[0] for layer in model.model.layers} == {"keras"}
    tiles = next(backend_losses.batches(1))[0].astype(np.uint8)
    expected = model.model.predict_on_batch(tiles)
    np.testing.assert_allclose(model.probabilities(tiles), expected, atol=0.05)


def test_inference_weights_are_the_exponential_moving_average():
    learner = _learner(ema_decay=0.9)
    weights = learner.components.model.weights
    expected = [keras.ops.convert_to_numpy(weight) for weight in weights]
    for count, batch in enumerate(backend_losses.batches(5), 1):
        learner.step(*batch, 1e-2)
        rate = float(ema_rate(0.9, np.float32(count)))
        latest = [keras.ops.convert_to_numpy(weight) for weight in weights]
        expected = [e + rate * (w - e) for e, w in zip(expected, latest, strict=True)]
    for average, reference in zip(learner.inference_weights(), expected, strict=True):
        np.testing.assert_allclose(average, reference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_recorded_graph_trains_as_the_layers_do(monkeypatch, precision):
    # the recording is tested, and not PyTorch's code generator, which takes a minute
    monkeypatch.setattr(
        torch_learner, "compile_graph", functools.partial(compile_graph, backend="aot_eager")
    )
    changes = {"deep_supervision": 2, "residual": True}
    learners = [_learner(precision, compiled, **changes) for compiled in (False, True)]
    losses = [_losses(learner, 3) for learner in learners]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    for left, right in zip(*(learner.state() for learner in learners), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


def test_a_network_with_dropout_is_not_recorded(monkeypatch):
    monkeypatch.setattr(torch_learner, "compile_graph", None)  # it would repeat the same mask
    losses = _losses(_learner(compiled=True, dropout=0.5), 2)
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("clip_norm", [1e-3, 1e3])
def test_the_gradient_is_clipped_as_by_keras(clip_norm):
    rng = np.random.default_rng(0)
    gradients = [torch.tensor(rng.normal(size=shape)) for shape in ((3, 4), (5,))]
    optimizer = keras.optimizers.SGD(global_clipnorm=clip_norm)
    expected = optimizer._clip_gradients([gradient.clone() for gradient in gradients])
    torch_learner._clip(gradients, clip_norm)
    for clipped, reference in zip(gradients, expected, strict=True):
        torch.testing.assert_close(clipped, reference)


def test_too_little_memory_is_told_in_one_line():
    def fail(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory.\nMany lines")

    learner = _learner()
    learner._forward = fail
    with pytest.raises(LiverSegError, match=r"not enough memory .* lower --batch-size") as caught:
        learner.step(*next(backend_losses.batches(1)), 1e-2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        UNetSpec(base_filters=4, depth=2),
        UNetSpec(base_filters=4, depth=2, patch=2, residual=True, attention=True),
        UNetSpec(base_filters=4, encoder="MobileNetV3Small", depth=5),
    ],
    ids=["plain", "patch", "encoder"],
)
@pytest.mark.parametrize("training", [False, True])
def test_torch_layers_compute_the_same_as_those_of_keras(spec, training):
    model = build_training_unet(spec)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.05, 0.2, w.shape) - 0.1 * (w.ndim > 1) for w in model.weights])
    converted = with_torch_layers(model)
    assert [w.path for w in converted.weights] == [w.path for w in model.weights]
    # variances over few values differ between the biased and the unbiased estimate
    image = rng.uniform(0, 255, (8, 64, 64, 1)).astype(np.float32)
    results, averages = [], []
    for network in (model, converted):
        outputs = network(image, training=training)
        (outputs**2).mean().backward()
        gradients = [v.value.grad for v in network.trainable_variables]
        results.append([outputs.detach(), *(g for g in gradients if g is not None)])
        averages.append([v.value for v in network.non_trainable_variables])
    for actual, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4)
    for actual, expected in zip(averages[1], averages[0], strict=True):
        torch.testing.assert_close(actual, expected, rtol=0.05, atol=1e-4)


def test_torch_layers_copy_no_image():
    model = with_torch_layers(build_training_unet(UNetSpec(channels=3, base_filters=4, depth=1)))
    copied = []
    with torch.profiler.profile(record_shapes=True) as profile:
        model(torch.rand(2, 32, 32, 3), training=True)
    for event in profile.events():
        shape = event.input_shapes[0] if event.input_shapes else []
        # the logits have a single channel, and PyTorch may copy them
        if event.name == "aten::copy_" and len(shape) == 4 and shape[0] == 2 and shape[1] > 1:
            copied.append(shape)
    assert copied == []
