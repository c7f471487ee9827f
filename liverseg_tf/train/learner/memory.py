"""The memory that training needs."""

import keras
import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.learner.components import TrainingComponents

# float32 copies of the parameters: weights, gradients, the two moments of AdamW, the moving
# average and the inference model
_PARAMETER_COPIES = 6
# Memory of a step divided by that of the layers' outputs. Measured on a CPU: 0.9 to 1.3. GPUs need
# additional workspace.
_ACTIVATION_FACTOR = 1.5


def estimate_memory(components: TrainingComponents, shape: tuple[int, int], batch_size: int) -> int:
    """Estimate the memory of a training step, in bytes.

    It is the memory of the copies of the weights and of the outputs of all layers for a batch.

    Args:
        components: Components of the learner.
        shape: (h, w) of the tiles in pixels.
        batch_size: Number of tiles in a batch.
    """
    inputs = keras.Input((*shape, components.spec.channels))
    sized_model = keras.models.clone_model(components.model, input_tensors=inputs)
    bytes_per_value = 4 if components.hardware.precision == "float32" else 2
    values = sum(int(np.prod(layer.output.shape[1:])) for layer in sized_model.layers)
    activations = values * batch_size * bytes_per_value * _ACTIVATION_FACTOR
    return round(components.model.count_params() * 4 * _PARAMETER_COPIES + activations)


def out_of_memory() -> LiverSegError:
    """Return the error to raise if a training step needs more memory than the device has."""
    return LiverSegError(
        "The device has not enough memory for this training: lower --batch-size, --base-filters or "
        "--context, or use --patch 2 or --no-cache-on-device. `train --dry-run` prints the memory "
        "that a run needs."
    )
