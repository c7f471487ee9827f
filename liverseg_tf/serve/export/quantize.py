"""Storage of weights in fewer bits. The weights are rounded; the computation stays in float32."""

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from liverseg_tf.choices import WEIGHT_TYPES
from liverseg_tf.errors import SettingsError


class QuantizedModel(tf.Module):
    """A model whose convolution kernels are stored as float16 or int8.

    float16 halves the file. int8 quarters it; each output channel is scaled by its largest
    absolute weight. Both are converted to float32 in the graph, which works on every server. The
    rounding of the weights is the only loss of accuracy, and there is no gain in speed. Biases
    and normalisation parameters are not changed.

    Args:
        model: Model with float32 weights.
        weight_type: 'float16' or 'int8'.
    """

    def __init__(self, model: keras.Model, weight_type: str):
        super().__init__()
        self._model = model
        self._scales = {}
        self._stored = []
        transposed = {
            id(layer.kernel)
            for layer in _layers(model)
            if isinstance(layer, keras.layers.Conv2DTranspose)
        }
        for index, variable in enumerate(model.weights):
            value = np.asarray(variable)
            if weight_type == "int8" and value.ndim > 1:
                channel_axis = value.ndim - (2 if id(variable) in transposed else 1)
                value, scale = _round_to_int8(value, channel_axis)
                self._scales[str(index)] = tf.Variable(scale, trainable=False)
            elif value.ndim > 1:
                value = value.astype(np.float16)
            self._stored.append(tf.Variable(value, trainable=False))

    def __call__(self, tiles: tf.Tensor) -> tf.Tensor:
        values = dict(zip(map(id, self._model.weights), self._dequantize(), strict=True))
        trainable = [values[id(v)] for v in self._model.trainable_variables]
        others = [values[id(v)] for v in self._model.non_trainable_variables]
        return self._model.stateless_call(trainable, others, tiles, training=False)[0]

    def _dequantize(self) -> list[tf.Tensor]:
        """Return all weights in the model's own type."""
        weights = []
        for index, variable in enumerate(self._stored):
            value = tf.cast(variable, self._model.weights[index].dtype)
            scale = self._scales.get(str(index))
            weights.append(value if scale is None else value * scale)
        return weights


def quantize_weights(model: keras.Model, weight_type: str) -> Callable:
    """Return a function from tiles to probabilities whose weights are stored in a given type.

    Args:
        model: Model with float32 weights.
        weight_type: 'none' (float32), 'float16' or 'int8'.

    Raises:
        SettingsError: If the type is unknown.
    """
    if weight_type not in WEIGHT_TYPES:
        raise SettingsError(
            f"Expected a weight type of {', '.join(WEIGHT_TYPES)}. Received {weight_type}."
        )
    if weight_type == "none":
        return lambda tiles: model(tiles, training=False)
    return QuantizedModel(model, weight_type)


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers of a model and of the models in it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _round_to_int8(kernel: np.ndarray, channel_axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Round a kernel to int8.

    Args:
        kernel: float32 weights.
        channel_axis: Axis of the output channels: the last one, or the one before it for
            transposed convolutions.

    Returns:
        The int8 kernel, and the float32 scale of each output channel.
    """
    others = tuple(axis for axis in range(kernel.ndim) if axis != channel_axis)
    scale = np.abs(kernel).max(axis=others, keepdims=True) / 127
    scale = np.where(scale == 0, 1, scale).astype(np.float32)
    return np.rint(kernel / scale).astype(np.int8), scale
