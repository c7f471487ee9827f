"""Training with JAX: one compiled step on the devices of one host."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import keras
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.custom_parts import CustomParts
from liverseg_tf.train.data.pipeline import Shards
from liverseg_tf.train.learner.components import TrainingComponents, ema_rate
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.learner.memory import out_of_memory
from liverseg_tf.train.network.layer_classes import (
    LayerClasses,
    OnePassBatchNormalization,
    ReshapedMaxPooling2D,
    SubpixelConv2DTranspose,
)
from liverseg_tf.train.settings import TrainSettings

_LAYER_CLASSES = LayerClasses(
    OnePassBatchNormalization, SubpixelConv2DTranspose, ReshapedMaxPooling2D
)


class JaxLearner:
    """A `Learner` whose state stays on the device; network and losses are shared with TensorFlow.

    Several devices of the host share each batch, and each of them holds the whole state. The step
    is written for the whole batch, and XLA divides it: all sums, those of batch normalisation and
    of the losses included, cover the whole batch. `keras.distribution.DataParallel` would divide
    the batches of every model of the process in the same way, also those of validation.

    Args:
        network: Input channels and regions.
        settings: Settings of the run.
        hardware: Precision; steps are always compiled.
        devices: Devices that share each batch. None uses all devices of this host.
        custom: Objects of the caller in place of the loss and the network of the settings.
    """

    def __init__(
        self,
        network: NetworkSpec,
        settings: TrainSettings,
        hardware: Hardware,
        devices: Sequence[jax.Device] | None = None,
        custom: CustomParts = CustomParts(),
    ):
        mesh = Mesh(np.array(devices or jax.local_devices()), "batch")
        self._shared = NamedSharding(mesh, PartitionSpec("batch"))
        self._whole = NamedSharding(mesh, PartitionSpec())
        self.components = TrainingComponents.make(
            network, settings, hardware, layer_classes=_LAYER_CLASSES, custom=custom
        )
        model, optimizer = self.components.model, self.components.optimizer
        weights = [variable.value for variable in model.weights]
        state: dict[str, Any] = {
            "trainable": [variable.value for variable in model.trainable_variables],
            "non_trainable": [variable.value for variable in model.non_trainable_variables],
            "optimizer": [variable.value for variable in optimizer.variables],
            # copies, because a step donates the memory of its arguments to its results
            "ema": [weight.copy() for weight in weights] if settings.ema_decay else [],
            "step_count": jax.numpy.zeros((), "int32"),
        }
        self._state = jax.device_put(state, self._whole)
        self._learning_rate_index = next(
            index
            for index, variable in enumerate(optimizer.variables)
            if variable.path.endswith("learning_rate")
        )
        self._weight_keys = _weight_keys(model)
        self._compiled_step = jax.jit(self._step, donate_argnums=0)

    def step(self, image, truth, learning_rate: float) -> jax.Array:
        """See `Learner`."""
        image, truth = jax.device_put((image, truth), self._shared)
        try:
            self._state, loss = self._compiled_step(self._state, image, truth, learning_rate)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" in str(error):
                raise out_of_memory() from error
            raise
        return loss

    def batches(self, make: Callable[[Shards], Iterator]) -> Iterator:
        """See `Learner`."""
        return make(Shards())

    def inference_weights(self) -> list[np.ndarray]:
        """See `Learner`."""
        weights = self._state["ema"] or self._weights(self._state)
        return [np.asarray(weight) for weight in weights]

    def state(self) -> list[np.ndarray]:
        """See `Learner`."""
        return [np.asarray(value) for value in jax.tree.leaves(self._state)]

    def load_state(self, state: Sequence[np.ndarray]) -> None:
        """See `Learner`."""
        leaves, tree = jax.tree.flatten(self._state)
        if [np.shape(value) for value in state] != [leaf.shape for leaf in leaves]:
            raise ValueError("its variables have other shapes")
        # copies, because a step donates the memory of its arguments to its results
        copies = jax.tree.unflatten(tree, [jax.numpy.array(value) for value in state])
        self._state = jax.device_put(copies, self._whole)

    def sum_over_hosts(self, counts: np.ndarray) -> np.ndarray:
        """See `Learner`: there is only one host."""
        return counts

    def _step(self, state: dict, image, truth, learning_rate):
        """Return the state after a step and the loss before it; a pure function."""
        model, optimizer = self.components.model, self.components.optimizer
        variables = list(state["optimizer"])
        index = self._learning_rate_index
        variables[index] = jax.numpy.asarray(learning_rate, variables[index].dtype)

        def compute_loss(trainable):
            outputs, non_trainable = model.stateless_call(
                trainable, state["non_trainable"], image, training=True
            )
            loss = self.components.loss(truth, outputs)
            return self._scale_loss(loss, variables), (loss, non_trainable)

        gradients, (loss, non_trainable) = jax.grad(compute_loss, has_aux=True)(state["trainable"])
        trainable, variables = optimizer.stateless_apply(variables, gradients, state["trainable"])
        new = {"trainable": trainable, "non_trainable": non_trainable, "optimizer": variables}
        new["step_count"] = state["step_count"] + 1
        rate = ema_rate(self.components.settings.ema_decay, new["step_count"])
        new["ema"] = [
            average + rate * (weight - average)
            # without a moving average, state["ema"] is empty, and so is the result
            for average, weight in zip(state["ema"], self._weights(new), strict=False)
        ]
        return new, loss

    def _scale_loss(self, loss, variables):
        """Apply the loss scale of float16, which is one of the optimizer's variables."""
        optimizer = self.components.optimizer
        mapping = list(zip(optimizer.variables, variables, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return optimizer.scale_loss(loss)

    def _weights(self, state: dict) -> list:
        """Weights of a state in the order of the model's `weights`."""
        return [state[key][index] for key, index in self._weight_keys]


def _weight_keys(model) -> list[tuple[str, int]]:
    """For each of the model's `weights`, its list in the state and its index in that list."""
    keys = {id(v): ("trainable", n) for n, v in enumerate(model.trainable_variables)}
    keys |= {id(v): ("non_trainable", n) for n, v in enumerate(model.non_trainable_variables)}
    return [keys[id(weight)] for weight in model.weights]
