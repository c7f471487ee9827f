"""Keras layers that call PyTorch's own operations, so that no layer copies its input.

Keras stores images with their channels in the last axis. To convolve or pool them with PyTorch,
Keras copies the input to the other order of axes and back. PyTorch reads this order as its memory
format `channels_last`, in which the axes are exchanged without a copy. On a processor, a training
step with these layers takes two thirds of the time.
"""

from typing import Any

import keras
import torch
from keras import layers
from torch.nn import functional


def with_torch_layers(model: keras.Model) -> keras.Model:
    """Copy a model; the layers of this module replace those of Keras that they compute.

    Args:
        model: Functional model. Its layers keep their names, and its weights their order and
            shapes, so that the weights of the copy fit the model.
    """
    copy = keras.models.clone_model(model, clone_function=_copy_layer)
    copy.set_weights(model.get_weights())
    return copy


class TorchConvolution(layers.Conv2D):
    """Keras' convolution; padding that depends on the size of the image is left to Keras."""

    def call(self, inputs):
        is_same = self.padding == "same"
        is_symmetric = set(self.strides) == {1} and all(size % 2 for size in self.kernel_size)
        if (is_same and not is_symmetric) or set(self.dilation_rate) != {1}:
            return super().call(inputs)
        padding = [size // 2 for size in self.kernel_size] if is_same else 0
        outputs = functional.conv2d(
            _channels_first(inputs), *_weights(self), self.strides, padding, groups=self.groups
        )
        return self.activation(_channels_last(outputs))


class TorchTransposedConvolution(layers.Conv2DTranspose):
    """Keras' transposed convolution, of which the network uses that without overlap."""

    def call(self, inputs):
        if tuple(self.strides) != tuple(self.kernel_size) or set(self.dilation_rate) != {1}:
            return super().call(inputs)
        outputs = functional.conv_transpose2d(
            _channels_first(inputs), *_weights(self), self.strides
        )
        return self.activation(_channels_last(outputs))


class TorchMaxPooling(layers.MaxPooling2D):
    """Keras' max pooling without padding."""

    def call(self, inputs):
        if self.padding == "same":
            return super().call(inputs)
        pooled = functional.max_pool2d(_channels_first(inputs), self.pool_size, self.strides)
        return _channels_last(pooled)


class TorchBatchNormalization(layers.BatchNormalization):
    """Batch normalisation in one operation; its moving variance is the unbiased estimate.

    The mean and the variance are float32 in any precision.
    """

    def call(self, inputs, training=None, mask=None):
        from_batch = bool(training and self.trainable)
        if inputs.ndim != 4 or (from_batch and inputs.numel() == inputs.shape[-1]):
            return super().call(inputs, training=training, mask=mask)
        outputs = functional.batch_norm(
            _channels_first(inputs),
            self.moving_mean.value,
            self.moving_variance.value,
            None if self.gamma is None else self.gamma.value,
            None if self.beta is None else self.beta.value,
            from_batch,
            1 - self.momentum,
            self.epsilon,
        )
        return _channels_last(outputs)


_LAYERS: dict[Any, Any] = {
    layers.Conv2D: TorchConvolution,
    layers.Conv2DTranspose: TorchTransposedConvolution,
    layers.MaxPooling2D: TorchMaxPooling,
    layers.BatchNormalization: TorchBatchNormalization,
}


def _copy_layer(layer):
    layer_class: Any = type(layer)
    return _LAYERS.get(layer_class, layer_class).from_config(layer.get_config())


def _weights(layer) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return kernel and bias as PyTorch orders them: (filters, channels, h, w) and (filters,)."""
    kernel = layer.kernel.value.permute(3, 2, 0, 1)
    return kernel, None if layer.bias is None else layer.bias.value


def _channels_first(values: torch.Tensor) -> torch.Tensor:
    """View (batch, h, w, channels) as (batch, channels, h, w)."""
    return values.permute(0, 3, 1, 2)


def _channels_last(values: torch.Tensor) -> torch.Tensor:
    """View (batch, channels, h, w) as (batch, h, w, channels)."""
    return values.permute(0, 2, 3, 1)
