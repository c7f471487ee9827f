"""The interface of a learner: it holds the network, its loss and optimizer, and trains it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, SupportsFloat

import numpy as np

from liverseg_tf.train.learner.components import TrainingComponents


class Learner(Protocol):
    """Trains a network batch by batch, with TensorFlow, JAX or PyTorch.

    Attributes:
        components: Network, loss and optimizer.
    """

    components: TrainingComponents

    def step(self, image, truth, learning_rate: float) -> SupportsFloat:
        """Train on one batch.

        Args:
            image: (batch, h, w, channels) float32, 0..255.
            truth: (batch, h, w, regions) uint8, 0 or 1.
            learning_rate: Learning rate of this step.

        Returns:
            Loss before the update, a scalar on the device. The call returns before the loss is
            computed; `float` waits for it.
        """

    def batches(self, make: Callable) -> Iterator:
        """Iterate over pairs of image and ground truth for `step`.

        Args:
            make: Function from `Shards` to an iterator over the pairs of these shards.
        """

    def inference_weights(self) -> list[np.ndarray]:
        """Return the weights to validate and save, in the order of the model's `weights`.

        They are the exponential moving average of the weights, or the latest weights if there is
        no moving average.
        """

    def state(self) -> list[np.ndarray]:
        """Return every number that the next step depends on.

        These are the weights, the states of random generators and of the optimizer, the moving
        average of the weights and the number of steps.
        """

    def load_state(self, state: Sequence[np.ndarray]) -> None:
        """Continue from the result of `state`."""

    def sum_over_hosts(self, counts: np.ndarray) -> np.ndarray:
        """Add up an array over the hosts that train together."""
