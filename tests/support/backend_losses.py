"""Training steps with the Keras backend of this process; see `test_backends.py`.

python backend_losses.py FOLDER [all]   prints the losses, and saves a model into FOLDER
"""

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.learner.execution import ExecutionOptions
from liverseg_tf.train.learner.factory import make_learner
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.learner.inference_model import InferenceModel
from liverseg_tf.train.network.from_settings import make_unet_spec
from liverseg_tf.train.network.unet import build_training_unet
from liverseg_tf.train.settings import TrainSettings

COMMON = TrainSettings(base_filters=4, depth=2, batch_size=2)
SETTINGS = {
    "topk": {"loss": "dice-topk", "deep_supervision": 2, "residual": True},
    "tversky": {"loss": "focal-tversky", "attention": True, "patch": 2, "optimizer": "sgd"},
}
MORE_SETTINGS = {
    "ce": {"loss": "dice-ce", "normalisation": "instance"},
    "none": {"loss": "dice-topk", "normalisation": "none", "optimizer": "sgd"},
    "encoder": {"loss": "dice-ce", "encoder": "MobileNetV3Small", "depth": 5},
}
STEPS, SIDE = 20, 32


def compute_losses(settings: dict[str, dict]) -> dict[str, list[float]]:
    """Return the losses of 20 steps and the sums of the inference weights, for each settings.

    Raises:
        AssertionError: If two steps from the same state differ.
    """
    results = {}
    for name, changes in settings.items():
        learner = make_initialised_learner(dataclasses.replace(COMMON, **changes))
        results[name] = [float(learner.step(*batch, 1e-3)) for batch in batches(STEPS)]
        weights = learner.inference_weights()
        results[f"{name} inference weights"] = [float(np.abs(w).sum()) for w in weights]
        check_repeated_steps(learner)
    return results


def batches(count: int):
    """Yield smooth images and two nested regions in them."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for _ in range(count):
        y, x = rng.uniform(10, 22, (2, COMMON.batch_size, 1, 1))
        distance = np.hypot(rows - y, columns - x)[..., None]
        image = 200 - 8 * distance + rng.normal(0, 5, distance.shape)
        truth = np.concatenate([distance < 9, distance < 4], axis=-1)
        yield image.clip(0, 255).astype(np.float32), truth.astype(np.uint8)


def check_repeated_steps(learner) -> None:
    """Check that two steps from the same state are equal bit for bit."""
    # copies, because a step of JAX donates the memory of the state
    state, ends = [np.array(value) for value in learner.state()], []
    (image, truth) = next(batches(1))
    for _ in range(2):
        learner.load_state([value.copy() for value in state])
        loss = float(learner.step(image, truth, 1e-3))
        ends.append([loss, *map(np.array, learner.inference_weights())])
    for left, right in zip(*ends, strict=True):
        np.testing.assert_array_equal(left, right)


def make_initialised_learner(settings: TrainSettings):
    """Make a learner whose weights are the same for all backends, whose initializers differ."""
    network = NetworkSpec(stride=settings.patch * 2**settings.levels)
    model = build_training_unet(make_unet_spec(network, settings), settings.deep_supervision)
    rng = np.random.default_rng(1)
    model.set_weights([_initial_value(weight, rng) for weight in model.weights])
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        settings = dataclasses.replace(settings, init_from=Path(folder))
        return make_learner(network, settings, ExecutionOptions(Hardware(compiled=_compiles())))


def _compiles() -> bool:
    return keras.backend.backend() == "jax"


def _initial_value(weight, rng) -> np.ndarray:
    """He-normal kernels; everything else as Keras initialises it."""
    if len(weight.shape) < 4:
        return np.array(weight)
    deviation = (2 / np.prod(weight.shape[:-1])) ** 0.5
    return rng.normal(0, deviation, weight.shape).astype(np.float32)


def save_model_and_probabilities(folder: Path) -> None:
    """Save a briefly trained model as a run does, and what it predicts."""
    learner = make_initialised_learner(dataclasses.replace(COMMON, ema_decay=0.0))
    for image, truth in batches(2):
        learner.step(image, truth, 1e-2)
    model = InferenceModel(learner.components)
    model.set_weights(learner.inference_weights())
    model.model.save(folder / f"{keras.backend.backend()}.keras")
    tiles = next(batches(1))[0].astype(np.uint8)
    np.save(folder / f"{keras.backend.backend()}.npy", model.probabilities(tiles))


def main() -> None:
    folder, *rest = sys.argv[1:]
    settings = SETTINGS | MORE_SETTINGS if rest else SETTINGS
    losses = compute_losses(settings)
    save_model_and_probabilities(Path(folder))
    if keras.backend.backend() != "tensorflow":
        assert "tensorflow" not in sys.modules, "TensorFlow was imported"
    print(json.dumps(losses))


if __name__ == "__main__":
    main()
