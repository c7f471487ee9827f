"""Losses of a few training steps with the backend of this process; see `test_jax_learner.py`."""

import dataclasses
import json
import tempfile
from pathlib import Path

import keras
import numpy as np

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.network.from_settings import make_unet_spec
from liverseg_tf.train.network.unet import build_training_unet
from liverseg_tf.train.settings import TrainSettings

COMMON = TrainSettings(base_filters=4, depth=2, batch_size=2)
SETTINGS = {
    "topk": {"loss": "dice-topk", "deep_supervision": 2, "residual": True},
    "tversky": {"loss": "focal-tversky", "attention": True, "patch": 2, "optimizer": "sgd"},
}


def compute_losses() -> dict[str, list[float]]:
    """Return the losses and the sums of the inference weights, for each of the settings.

    Raises:
        AssertionError: If two steps from the same state differ.
    """
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 2, 16, 16, 1)).astype(np.float32)
    truth = np.concatenate([image > 100, image > 200], axis=-1).astype(np.uint8)
    results = {}
    for name, changes in SETTINGS.items():
        learner = _make_learner(dataclasses.replace(COMMON, **changes))
        results[name] = [
            float(learner.step(*batch, 1e-3)) for batch in zip(image, truth, strict=True)
        ]
        weights = learner.inference_weights()
        results[f"{name} inference weights"] = [float(np.abs(w).sum()) for w in weights]
        # copies, because a step of JAX donates the memory of the state
        state, ends = [np.array(value) for value in learner.state()], []
        for _ in range(2):
            learner.load_state([value.copy() for value in state])
            loss = float(learner.step(image[0], truth[0], 1e-3))
            ends.append([loss, *map(np.array, learner.inference_weights())])
        for left, right in zip(*ends, strict=True):
            np.testing.assert_array_equal(left, right)
    return results


def _make_learner(settings: TrainSettings):
    """Make a learner whose weights are the same for both backends, whose initializers differ."""
    network = NetworkSpec(stride=settings.patch * 2**settings.depth)
    model = build_training_unet(make_unet_spec(network, settings), settings.deep_supervision)
    rng = np.random.default_rng(1)
    # positive, because moving variances are among the weights
    model.set_weights([rng.uniform(0.01, 0.2, w.shape).astype(np.float32) for w in model.weights])
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        settings = dataclasses.replace(settings, init_from=Path(folder))
        if keras.backend.backend() == "jax":
            from liverseg_tf.train.learner.jax_learner import JaxLearner

            return JaxLearner(network, settings, Hardware())
        from liverseg_tf.train.learner.hosts import this_host
        from liverseg_tf.train.learner.tensorflow_learner import TensorFlowLearner

        return TensorFlowLearner(network, settings, Hardware(), this_host())


if __name__ == "__main__":
    print(json.dumps(compute_losses()))
