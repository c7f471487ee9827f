"""Training steps with the Keras backend of this process; see `test_jax_learner.py` and
`test_torch_learner.py`.

python backend_losses.py FOLDER           prints the losses; reads and writes models in FOLDER
python backend_losses.py FOLDER all       the same with more settings
python backend_losses.py FOLDER devices   compares JAX on all devices and on one
"""

import contextlib
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from unittest import mock

import keras
import numpy as np

from liverseg_tf.cli.shared.tensorflow import import_backend
from liverseg_tf.ct.regions import Regions
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.learner.execution import ExecutionOptions
from liverseg_tf.train.learner.factory import make_learner
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.learner.inference_model import InferenceModel
from liverseg_tf.train.network.from_settings import make_unet_spec
from liverseg_tf.train.network.unet import build_training_unet
from liverseg_tf.train.settings import TrainSettings

COMMON = TrainSettings(base_filters=4, depth=2, batch_size=2)
# as few as contain everything, because JAX takes several seconds to compile each
SETTINGS = {
    "tversky": {"loss": "focal-tversky", "attention": True, "patch": 2},
    # with an auxiliary region, and a tile that does not label one of the others
    "partial": {
        **{"loss": "dice-topk", "deep_supervision": 2, "residual": True, "optimizer": "sgd"},
        "auxiliary": Regions({"shell": (3,)}),
    },
}
MORE_SETTINGS = {
    "topk": {"loss": "dice-topk", "deep_supervision": 2, "residual": True},
    "ce": {"loss": "dice-ce", "normalisation": "instance"},
    "none": {"loss": "dice-topk", "normalisation": "none", "optimizer": "sgd"},
}
STEPS, SIDE = 20, 32
# initial values by the initializer in Keras; those of kernels are drawn later
INITIAL = {"HeNormal": np.zeros, "GlorotUniform": np.zeros, "Zeros": np.zeros, "Ones": np.ones}


def compute_losses(settings: dict[str, dict], folder: Path) -> dict[str, list[float]]:
    """Return the losses of 20 steps and the sums of the inference weights, for each settings.

    A model of each is saved into the folder as a run does, with what it predicts.

    Raises:
        AssertionError: If two steps from the same state differ, or if a model that another
            backend has saved into the folder predicts something else than there.
    """
    results = {}
    for name, changes in settings.items():
        learner = make_initialised_learner(dataclasses.replace(COMMON, **changes))
        results[name] = [float(learner.step(*one, 1e-3)) for one in batches(STEPS, name)]
        weights = learner.inference_weights()
        results[f"{name} inference weights"] = [float(np.abs(w).sum()) for w in weights]
        save_model(learner, folder / f"{name}-{keras.backend.backend()}.keras")
        check_repeated_steps(learner, name)
    check_models(folder)
    return results


def save_model(learner, path: Path) -> None:
    """Save the model of a learner, and beside it what it predicts, at validation."""
    model = InferenceModel(learner.components)
    model.set_weights(learner.inference_weights())
    model.model.save(path)
    np.save(path.with_suffix(".npy"), model.probabilities(next(batches(1))[0].astype(np.uint8)))


def check_models(folder: Path) -> None:
    """Check that all models in a folder predict what the backend predicted that saved them."""
    tiles = next(batches(1))[0].astype(np.uint8)
    for path in folder.glob("*.keras"):
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        probabilities, expected = model.predict_on_batch(tiles), np.load(path.with_suffix(".npy"))
        np.testing.assert_allclose(probabilities, expected, atol=1e-4, err_msg=path.name)
        certain = abs(expected - 0.5) > 1e-4
        assert ((probabilities > 0.5) == (expected > 0.5))[certain].all(), path.name


def batches(count: int, name: str = ""):
    """Yield smooth images and two nested regions in them, or what the settings "partial" need."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for _ in range(count):
        y, x = rng.uniform(10, 22, (2, COMMON.batch_size, 1, 1))
        distance = np.hypot(rows - y, columns - x)[..., None]
        image = 200 - 8 * distance + rng.normal(0, 5, distance.shape)
        regions = [distance < 9, distance < 4]
        if name == "partial":
            regions.append(abs(distance - 12) < 3)
        truth = np.concatenate(regions, axis=-1).astype(np.int8 if name == "partial" else np.uint8)
        if name == "partial":
            truth[0, ..., 1] = -1
        yield image.clip(0, 255).astype(np.float32), truth


def check_repeated_steps(learner, name: str) -> None:
    """Check that two steps from the same state are equal bit for bit."""
    # copies, because a step of JAX donates the memory of the state
    state, ends = [np.array(value) for value in learner.state()], []
    (image, truth) = next(batches(1, name))
    for _ in range(2):
        learner.load_state([value.copy() for value in state])
        loss = float(learner.step(image, truth, 1e-3))
        ends.append([loss, *map(np.array, learner.inference_weights())])
    for left, right in zip(*ends, strict=True):
        np.testing.assert_array_equal(left, right)


def make_initialised_learner(settings: TrainSettings):
    """Make a learner whose weights are the same for all backends, whose initializers differ.

    NumPy makes all weights, since JAX would compile each initializer for each shape.
    """
    network = NetworkSpec(stride=settings.patch * 2**settings.levels)
    with contextlib.ExitStack() as stack:
        for name, fill in INITIAL.items():
            initializer = getattr(keras.initializers, name)
            stack.enter_context(mock.patch.object(initializer, "__call__", _initialise_with(fill)))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        model = build_training_unet(make_unet_spec(network, settings), settings.deep_supervision)
        rng = np.random.default_rng(1)
        model.set_weights([_initial_value(weight, rng) for weight in model.weights])
        model.save(f"{folder}/model.keras")
        settings = dataclasses.replace(settings, init_from=Path(folder))
        return make_learner(network, settings, ExecutionOptions(Hardware(compiled=_compiles())))


def _initialise_with(fill):
    def initialise(initializer, shape, dtype=None, **_):
        return keras.ops.convert_to_tensor(fill(shape, np.float32), dtype)

    return initialise


def _compiles() -> bool:
    return keras.backend.backend() == "jax"


def _initial_value(weight, rng) -> np.ndarray:
    """He-normal kernels; everything else as Keras initialises it."""
    if len(weight.shape) < 4:
        return keras.ops.convert_to_numpy(weight)
    deviation = (2 / np.prod(weight.shape[:-1])) ** 0.5
    return rng.normal(0, deviation, weight.shape).astype(np.float32)


def compare_devices() -> dict[str, float]:
    """Return the differences between JAX on all devices and on one: losses and weights."""
    import jax

    from liverseg_tf.train.learner.jax_learner import JaxLearner

    settings = dataclasses.replace(COMMON, optimizer="sgd", loss="dice-ce", ema_decay=0.0)
    losses, weights = [], []
    for devices in (jax.local_devices(), jax.local_devices()[:1]):
        learner = JaxLearner(NetworkSpec(stride=4), settings, Hardware(compiled=True), devices)
        losses.append([float(learner.step(*batch, 1e-2)) for batch in batches(3)])
        weights.append(np.concatenate([w.ravel() for w in learner.inference_weights()]))
    return {
        "devices": jax.local_device_count(),
        "losses": float(np.abs(np.subtract(*losses)).max()),
        "weights": float(np.abs(np.subtract(*weights)).max()),
    }


def main() -> None:
    import_backend()
    folder, *names = sys.argv[1:]
    if names == ["devices"]:
        print(json.dumps(compare_devices()))
        return
    losses = compute_losses(SETTINGS | MORE_SETTINGS if names else SETTINGS, Path(folder))
    if keras.backend.backend() != "tensorflow":
        assert "tensorflow" not in sys.modules, "TensorFlow was imported"
    print(json.dumps(losses))


if __name__ == "__main__":
    main()
