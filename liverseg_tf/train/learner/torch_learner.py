"""Training with PyTorch: one step on one device, without TensorFlow."""

from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import torch

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.model.torch_layers import with_torch_layers
from liverseg_tf.train.custom_parts import CustomParts
from liverseg_tf.train.data.pipeline import Shards
from liverseg_tf.train.learner.components import TrainingComponents, ema_rate
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.learner.memory import out_of_memory
from liverseg_tf.train.learner.torch_graph import compile_graph
from liverseg_tf.train.settings import TrainSettings


class TorchLearner:
    """A `Learner` on PyTorch; network, losses and optimizer are shared with the other backends.

    Args:
        network: Input channels and regions.
        settings: Settings of the run.
        hardware: Precision; with `compiled`, the loss and its gradient are compiled by
            `torch.compile`. A network with dropout is not compiled.
        custom: Objects of the caller in place of the loss and the network of the settings.
    """

    def __init__(
        self,
        network: NetworkSpec,
        settings: TrainSettings,
        hardware: Hardware,
        custom: CustomParts = CustomParts(),
    ):
        self.components = TrainingComponents.make(
            network, settings, hardware, convert=with_torch_layers, custom=custom
        )
        model, optimizer = self.components.model, self.components.optimizer
        self._parameters = [variable.value for variable in model.trainable_variables]
        self._fixed = [variable.value for variable in model.non_trainable_variables]
        self._weights = [variable.value for variable in model.weights]
        self._ema = [w.detach().clone() for w in self._weights] if settings.ema_decay else []
        self._step_count = 0
        # Keras clips gradient by gradient, which takes longer than all else that it does. With
        # float16, it has to divide the gradients by the loss scale before.
        self._clip_norm = None
        if hardware.precision != "float16":
            self._clip_norm, optimizer.global_clipnorm = optimizer.global_clipnorm, None
        self._forward: Callable | None = None

    def step(self, image, truth, learning_rate: float) -> torch.Tensor:
        """See `Learner`."""
        model, optimizer = self.components.model, self.components.optimizer
        optimizer.learning_rate = learning_rate
        for parameter in self._parameters:
            parameter.grad = None
        batch = [keras.ops.convert_to_tensor(value) for value in (image, truth)]
        try:
            if self._forward is None:
                self._forward = self._make_forward(*batch)
            loss = self._forward(self._parameters, self._fixed, *batch)
            optimizer.scale_loss(loss).backward()
            with torch.no_grad():
                gradients = [parameter.grad for parameter in self._parameters]
                if self._clip_norm is not None:
                    _clip(gradients, self._clip_norm)
                optimizer.apply(gradients, model.trainable_variables)
                self._update_average()
        except torch.OutOfMemoryError as error:
            raise out_of_memory() from error
        return loss.detach()

    def batches(self, make: Callable[[Shards], Iterator]) -> Iterator:
        """See `Learner`."""
        return make(Shards())

    def inference_weights(self) -> list[np.ndarray]:
        """See `Learner`."""
        return [_to_numpy(weight) for weight in self._ema or self._weights]

    def state(self) -> list[np.ndarray]:
        """See `Learner`."""
        return [*map(_to_numpy, self._tensors()), np.array(self._step_count)]

    def load_state(self, state: Sequence[np.ndarray]) -> None:
        """See `Learner`."""
        tensors = self._tensors()
        if [np.shape(value) for value in state] != [*(tuple(t.shape) for t in tensors), ()]:
            raise ValueError("its variables have other shapes")
        with torch.no_grad():
            for tensor, value in zip(tensors, state[:-1], strict=True):
                tensor.copy_(torch.as_tensor(value))
        self._step_count = int(state[-1])

    def sum_over_hosts(self, counts: np.ndarray) -> np.ndarray:
        """See `Learner`: there is only one host."""
        return counts

    def _make_forward(self, image, truth) -> Callable:
        has_dropout = any(v.path.endswith("seed_generator_state") for v in self._variables())
        if not self.components.hardware.compiled or has_dropout:
            return lambda parameters, fixed, image, truth: self._compute_loss(image, truth)
        # recording updates the moving statistics once, so it is given copies
        copies = [value.clone() for value in self._fixed]
        return compile_graph(self._compute_loss_of, self._parameters, copies, image, truth)

    def _compute_loss(self, image, truth) -> torch.Tensor:
        return self.components.loss(truth, self.components.model(image, training=True))

    def _compute_loss_of(self, parameters, fixed, image, truth) -> torch.Tensor:
        """Compute the loss as a function of the model's variables; see `compile_graph`."""
        model = self.components.model
        outputs, _ = model.stateless_call(parameters, fixed, image, training=True)
        return self.components.loss(truth, outputs)

    def _update_average(self) -> None:
        self._step_count += 1
        if self._ema:
            decay = self.components.settings.ema_decay
            # a number of Python's, since reading one from the device would wait for the step
            rate = ema_rate(decay, self._step_count, minimum=min)
            torch._foreach_lerp_(self._ema, self._weights, rate)

    def _variables(self) -> list[keras.Variable]:
        return [*self.components.model.variables, *self.components.optimizer.variables]

    def _tensors(self) -> list[torch.Tensor]:
        return [*(variable.value for variable in self._variables()), *self._ema]


def _clip(gradients: list[torch.Tensor], norm: float) -> None:
    """Clip the global norm of gradients, in place, as Keras does."""
    total = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    # a norm that is not finite makes all gradients NaN
    torch._foreach_mul_(gradients, norm / torch.clamp(total, min=norm) + (total - total))


def _to_numpy(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().numpy()
