"""Learning with JAX: one compiled step on one device. tf.data makes its batches."""

from collections.abc import Callable, Iterator, Sequence

import jax
import keras
import numpy as np

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.data.pipeline import Shards
from liverseg_tf.train.learner.components import TrainingComponents, ema_rate
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.settings import TrainSettings


class JaxLearner:
    """A `Learner` whose state stays on the device; models and losses are those of TensorFlow's.

    Args:
        network: channels and regions.
        settings: of the run.
        hardware: what it is computed with.
    """

    def __init__(self, network: NetworkSpec, settings: TrainSettings, hardware: Hardware):
        self.parts = parts = TrainingComponents.make(network, settings, hardware)
        model, optimizer = parts.model, parts.optimizer
        weights = [variable.value for variable in model.weights]
        self._state = {
            "trainable": [variable.value for variable in model.trainable_variables],
            "others": [variable.value for variable in model.non_trainable_variables],
            "optimizer": [variable.value for variable in optimizer.variables],
            # copies, since a step gives away the memory of what it is given
            "means": [weight.copy() for weight in weights] if settings.ema_decay else [],
            "count": jax.numpy.zeros((), "int32"),
        }
        self._rate = next(
            place
            for place, variable in enumerate(optimizer.variables)
            if variable.path.endswith("learning_rate")
        )
        self._place = _places(model)
        self._step = jax.jit(self._learn, donate_argnums=0)

    def step(self, image, truth, rate: float) -> jax.Array:
        """See `Learner`."""
        self._state, loss = self._step(self._state, image, truth, rate)
        return loss

    def inference_weights(self) -> list[np.ndarray]:
        """See `Learner`."""
        kept = self._state["means"] or self._weights(self._state)
        return [np.asarray(weight) for weight in kept]

    def batches(self, make: Callable[[Shards], object]) -> Iterator:
        """See `Learner`."""
        return make(Shards()).as_numpy_iterator()

    def state(self) -> list[np.ndarray]:
        """See `Learner`."""
        return [np.asarray(value) for value in jax.tree.leaves(self._state)]

    def load_state(self, state: Sequence[np.ndarray]) -> None:
        """See `Learner`."""
        tree = jax.tree.structure(self._state)
        self._state = jax.tree.unflatten(tree, [jax.numpy.asarray(value) for value in state])

    def total(self, counts: np.ndarray) -> np.ndarray:
        """See `Learner`: there is one host."""
        return counts

    def _learn(self, state: dict, image, truth, rate):
        model, optimizer = self.parts.model, self.parts.optimizer
        variables = list(state["optimizer"])
        variables[self._rate] = jax.numpy.asarray(rate, variables[self._rate].dtype)

        def scaled_loss(trainable):
            outputs, others = model.stateless_call(trainable, state["others"], image, training=True)
            loss = self.parts.loss(truth, outputs)
            return self._scaled(loss, variables), (loss, others)

        gradients, (loss, others) = jax.grad(scaled_loss, has_aux=True)(state["trainable"])
        trainable, variables = optimizer.stateless_apply(variables, gradients, state["trainable"])
        new = {"trainable": trainable, "others": others, "optimizer": variables}
        new["count"] = state["count"] + 1
        rate = ema_rate(self.parts.settings.ema_decay, new["count"])
        new["means"] = [
            mean + rate * (weight - mean)
            for mean, weight in zip(state["means"], self._weights(new), strict=False)
        ]
        return new, loss

    def _scaled(self, loss, variables):
        """As float16 needs it: the factor is one of the optimizer's variables."""
        mapping = list(zip(self.parts.optimizer.variables, variables, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return self.parts.optimizer.scale_loss(loss)

    def _weights(self, state: dict) -> list:
        """In the order of the model's `weights`."""
        return [state[kind][place] for kind, place in self._place]


def _places(model) -> list[tuple[str, int]]:
    trainable = {id(v): ("trainable", n) for n, v in enumerate(model.trainable_variables)}
    others = {id(v): ("others", n) for n, v in enumerate(model.non_trainable_variables)}
    return [(trainable | others)[id(weight)] for weight in model.weights]
