"""Counts the trainings of the test suite, and replaces their steps where a test needs none.

A training is a learner whose training step is traced. Tracing takes about five seconds of CPU time
however short the training is, so the number of trainings decides how long the suite takes.

The hook works in the processes of pytest. `sitecustomize.py` in this folder installs it as well
in every Python process that they start.
"""

import importlib.abc
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "LIVERSEG_TEST_TRAININGS"  # names the folder with one file per training
LEARNERS = {
    "liverseg_tf.train.learner.tensorflow_learner": "TensorFlowLearner",
    "liverseg_tf.train.learner.jax_learner": "JaxLearner",
}


class _LearnerFinder(importlib.abc.MetaPathFinder):
    """Finds the modules of the learners as usual; their tracings are counted after the import."""

    def find_spec(self, name, path, target=None):
        if name not in LEARNERS:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next(spec for spec in specs if spec is not None)
        execute = spec.loader.exec_module

        def execute_and_count(module):
            execute(module)
            _count_tracings(getattr(module, LEARNERS[name]))

        spec.loader.exec_module = execute_and_count
        return spec


def install() -> None:
    """Install the hook in this process, before any module of `liverseg_tf.train` is imported."""
    if not any(isinstance(finder, _LearnerFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _LearnerFinder())


def _count_tracings(learner) -> None:
    """Let a class of learners record the first tracing of each learner's step."""
    trace = learner._step

    def _step(self, *arguments):
        if not hasattr(self, "_is_counted") and _is_tracing():
            self._is_counted = True
            _record_training()
        return trace(self, *arguments)

    learner._step = _step


def _is_tracing() -> bool:
    """Whether a step is being traced; with JAX, a step runs in Python only then."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return True
    import tensorflow as tf

    return not tf.executing_eagerly()


def _record_training() -> None:
    if FOLDER in os.environ:
        descriptor, _ = tempfile.mkstemp(dir=os.environ[FOLDER])
        with os.fdopen(descriptor, "w") as file:
            file.write(os.environ.get("PYTEST_CURRENT_TEST", "unknown").partition(" ")[0])


def count_trainings() -> Counter:
    """Return the number of trainings so far, by the test that was running."""
    return Counter(path.read_text() for path in Path(os.environ[FOLDER]).iterdir())


@contextmanager
def untraced_steps() -> Iterator[None]:
    """Replace the training step in this process by one that is not traced and learns nothing.

    Everything else of a training is real: network, batches, loop, validation and files. The
    network is not traced for the few batches of the validation either.
    """
    from liverseg_tf.train.learner.inference_model import InferenceModel
    from liverseg_tf.train.learner.tensorflow_learner import TensorFlowLearner

    step, probabilities = TensorFlowLearner.step, InferenceModel.probabilities
    TensorFlowLearner.step = _untraced_step
    InferenceModel.probabilities = _untraced_probabilities
    try:
        yield
    finally:
        TensorFlowLearner.step, InferenceModel.probabilities = step, probabilities


def _untraced_step(self, image, truth, learning_rate):
    """Take the place of `TensorFlowLearner.step`: change every weight without tracing anything.

    Like a real step, it is a function of the learner's state, the batch and the learning rate, and
    its loss is a scalar. Nothing is learnt.
    """
    import tensorflow as tf

    mean = tf.reduce_mean(tf.cast(image, tf.float32)) / 255
    for variable in self.components.model.trainable_variables:
        variable.assign(variable * (1 - learning_rate * mean))
    for average, weight in zip(self._ema, self.components.model.weights, strict=bool(self._ema)):
        average.assign_add(0.5 * (tf.convert_to_tensor(weight.value) - average))
    self._step_count.assign_add(1)
    return mean


def _untraced_probabilities(self, tiles):
    """Take the place of `InferenceModel.probabilities`: the same values, computed at once."""
    return self._validated(tiles, training=False).numpy()
