"""Training with PyTorch: one step on one device, without TensorFlow."""

from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import torch

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.data.pipeline import Shards
from liverseg_tf.train.learner.components import TrainingComponents, ema_rate
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.settings import TrainSettings


class TorchLearner:
    """A `Learner` on PyTorch; network and losses are shared with the other backends.

    Args:
        network: Input channels and regions.
        settings: Settings of the run.
        hardware: Precision; with `compiled`, the forward pass is compiled by `torch.compile`.
    """

    def __init__(self, network: NetworkSpec, settings: TrainSettings, hardware: Hardware):
        self.components = TrainingComponents.make(network, settings, hardware)
        model = self.components.model
        self._parameters = [variable.value for variable in model.trainable_variables]
        self._weights = [variable.value for variable in model.weights]
        self._ema = [w.detach().clone() for w in self._weights] if settings.ema_decay else []
        self._step_count = 0
        forward = torch.compile(self._compute_loss) if hardware.compiled else self._compute_loss
        self._forward = forward

    def step(self, image, truth, learning_rate: float) -> torch.Tensor:
        """See `Learner`."""
        model, optimizer = self.components.model, self.components.optimizer
        optimizer.learning_rate = learning_rate
        for parameter in self._parameters:
            parameter.grad = None
        loss = self._forward(image, truth)
        optimizer.scale_loss(loss).backward()
        gradients = [parameter.grad for parameter in self._parameters]
        self._step_count += 1
        with torch.no_grad():
            optimizer.apply(gradients, model.trainable_variables)
            if self._ema:
                rate = ema_rate(self.components.settings.ema_decay, float(self._step_count))
                torch._foreach_lerp_(self._ema, self._weights, float(rate))
        return loss.detach()

    def batches(self, make: Callable[[Shards], Iterator]) -> Iterator:
        """See `Learner`."""
        return make(Shards())

    def inference_weights(self) -> list[np.ndarray]:
        """See `Learner`."""
        return [_to_numpy(weight) for weight in self._ema or self._weights]

    def state(self) -> list[np.ndarray]:
        """See `Learner`."""
        values = [variable.value for variable in self._variables()]
        return [*map(_to_numpy, values), *map(_to_numpy, self._ema), np.array(self._step_count)]

    def load_state(self, state: Sequence[np.ndarray]) -> None:
        """See `Learner`."""
        variables = self._variables()
        for variable, value in zip(variables, state, strict=False):
            variable.assign(value)
        with torch.no_grad():
            for average, value in zip(self._ema, state[len(variables) : -1], strict=True):
                average.copy_(torch.as_tensor(value))
        self._step_count = int(state[-1])

    def sum_over_hosts(self, counts: np.ndarray) -> np.ndarray:
        """See `Learner`: there is only one host."""
        return counts

    def _compute_loss(self, image, truth) -> torch.Tensor:
        return self.components.loss(truth, self.components.model(image, training=True))

    def _variables(self) -> list[keras.Variable]:
        return [*self.components.model.variables, *self.components.optimizer.variables]


def _to_numpy(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().numpy()
