"""Chooses the learner for the active Keras backend."""

import keras

from liverseg_tf.choices import BACKENDS
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.custom_parts import CustomParts
from liverseg_tf.train.learner.execution import ExecutionOptions, resolve_hosts
from liverseg_tf.train.learner.hardware import choose_hardware
from liverseg_tf.train.learner.learner import Learner
from liverseg_tf.train.settings import TrainSettings


def make_learner(
    network: NetworkSpec,
    settings: TrainSettings,
    execution: ExecutionOptions,
    custom: CustomParts = CustomParts(),
) -> Learner:
    """Make a learner with new weights.

    Args:
        network: Input channels and regions.
        settings: Settings of the run.
        execution: Hardware and hosts.
        custom: Objects of the caller; a network of the caller is trained in float32.

    Raises:
        SettingsError: If the Keras backend is none of TensorFlow, JAX and PyTorch, or
            settings and hardware exclude each other.
        LiverSegError: If initial weights cannot be read or do not match the network.
    """
    execution = resolve_hosts(settings, execution)
    hardware = execution.hardware or choose_hardware(custom.precision)
    custom.check_precision(hardware.precision)
    backend = keras.backend.backend()
    if backend == "jax":
        from liverseg_tf.train.learner.jax_learner import JaxLearner

        return JaxLearner(network, settings, hardware, custom=custom)
    if backend == "torch":
        from liverseg_tf.train.learner.torch_learner import TorchLearner

        return TorchLearner(network, settings, hardware, custom)
    if backend not in BACKENDS:
        raise SettingsError(
            f"Expected one of the Keras backends {', '.join(BACKENDS)}. Received {backend}."
        )
    from liverseg_tf.train.learner.tensorflow_learner import TensorFlowLearner

    assert execution.hosts is not None, "resolved above"
    return TensorFlowLearner(network, settings, hardware, execution.hosts, custom)
