"""Chooses the learner of the Keras backend in use."""

import keras

from liverseg_tf.errors import SettingsError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.learner.execution import ExecutionOptions, with_hosts
from liverseg_tf.train.learner.hardware import choose_hardware
from liverseg_tf.train.learner.learner import Learner
from liverseg_tf.train.settings import TrainSettings


def make_learner(network: NetworkSpec, settings: TrainSettings, way: ExecutionOptions) -> Learner:
    hardware = way.hardware or choose_hardware()
    backend = keras.backend.backend()
    if backend == "jax":
        from liverseg_tf.train.learner.jax_learner import JaxLearner

        return JaxLearner(network, settings, hardware)
    if backend != "tensorflow":
        raise SettingsError(f"Expected the Keras backend tensorflow or jax. Received {backend}.")
    from liverseg_tf.train.learner.tensorflow_learner import TensorFlowLearner

    return TensorFlowLearner(network, settings, hardware, with_hosts(settings, way).hosts)
