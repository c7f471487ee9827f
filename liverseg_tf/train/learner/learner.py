"""What learns: the network, its loss and its optimizer, and the weights that are kept."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from liverseg_tf.train.learner.components import TrainingComponents


class Learner(Protocol):
    """A network that learns batch by batch, on TensorFlow or JAX.

    `step` returns before the loss is there, which `float` waits for. `state` holds every number
    that the next step depends on, and `load_state` goes on from it.
    """

    parts: TrainingComponents

    def step(self, image, truth, rate: float) -> object:
        """Learn from a batch at a learning rate; the loss before it."""

    def batches(self, make: Callable) -> Iterator:
        """Pairs for `step`, of the tf.data.Dataset that `make` returns for some `Shards`."""

    def inference_weights(self) -> list[np.ndarray]:
        """The weights that are validated and kept: their running mean, if there is one."""

    def state(self) -> list[np.ndarray]:
        """Weights, states of random draws, the optimizer's, and the running mean."""

    def load_state(self, state: Sequence[np.ndarray]) -> None:
        """Go on from what `state` returned."""

    def total(self, counts: np.ndarray) -> np.ndarray:
        """An array, added up over the hosts that learn together."""
