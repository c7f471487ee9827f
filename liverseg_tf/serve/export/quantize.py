"""Smaller weights: what is stored is rounded, what is computed stays float32."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from liverseg_tf.errors import SettingsError

WEIGHTS = ("none", "float16", "int8")


class RoundedModel(tf.Module):
    """A model whose convolution kernels are stored in fewer bits.

    float16 halves the file. int8 quarters it: each output channel is scaled by its own largest
    weight. Both are turned back into float32 in the graph, which a server on any processor can
    do: it costs no accuracy beyond the rounding and wins no speed. Biases and normalisation stay
    as they are.

    Args:
        model: with float32 weights.
        weights: 'float16' or 'int8'.
    """

    def __init__(self, model: keras.Model, weights: str):
        super().__init__()
        self._model = model
        self._scales = {}
        self._stored = []
        transposed = {
            id(layer.kernel)
            for layer in model.layers
            if isinstance(layer, keras.layers.Conv2DTranspose)
        }
        for place, variable in enumerate(model.weights):
            value = np.asarray(variable)
            if weights == "int8" and value.ndim > 1:
                value, scale = _rounded(
                    value, value.ndim - (2 if id(variable) in transposed else 1)
                )
                self._scales[str(place)] = tf.Variable(scale, trainable=False)
            elif value.ndim > 1:
                value = value.astype(np.float16)
            self._stored.append(tf.Variable(value, trainable=False))

    def __call__(self, tiles: tf.Tensor) -> tf.Tensor:
        values = dict(zip(map(id, self._model.weights), self._restored(), strict=True))
        trainable = [values[id(v)] for v in self._model.trainable_variables]
        others = [values[id(v)] for v in self._model.non_trainable_variables]
        return self._model.stateless_call(trainable, others, tiles, training=False)[0]

    def _restored(self) -> list[tf.Tensor]:
        restored = []
        for place, variable in enumerate(self._stored):
            value = tf.cast(variable, self._model.weights[place].dtype)
            scale = self._scales.get(str(place))
            restored.append(value if scale is None else value * scale)
        return restored


def with_weights(model: keras.Model, weights: str) -> Callable:
    """The model, or one whose weights are stored in fewer bits: tiles to probabilities.

    Args:
        model: to be exported.
        weights: 'none', 'float16' or 'int8'.

    Raises:
        SettingsError: on another name.
    """
    if weights not in WEIGHTS:
        raise SettingsError(f"Expected weights of {', '.join(WEIGHTS)}. Received {weights!r}.")
    if weights == "none":
        return lambda tiles: model(tiles, training=False)
    return RoundedModel(model, weights)


def _rounded(kernel: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 and the scale of each output channel (the last axis, but one where it is transposed)."""
    others = tuple(a for a in range(kernel.ndim) if a != axis)
    scale = np.abs(kernel).max(axis=others, keepdims=True) / 127
    scale = np.where(scale == 0, 1, scale).astype(np.float32)
    return np.rint(kernel / scale).astype(np.int8), scale
