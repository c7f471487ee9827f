"""Layers for training that compute the same as those of Keras, with the same weights, in less time.

Networks for inference consist of Keras' own layers.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from keras import layers, ops


@dataclass(frozen=True)
class LayerClasses:
    """The classes of the layers for which there are faster ones.

    Args:
        batch_normalisation: Keras' layer, or one that computes the same.
        conv2d_transpose: Likewise.
        max_pooling: Likewise.
        concatenated_conv2d: Convolution of two images, concatenated along their channels. None
            concatenates them first.
    """

    batch_normalisation: Callable = layers.BatchNormalization
    conv2d_transpose: Callable = layers.Conv2DTranspose
    max_pooling: Callable = layers.MaxPooling2D
    concatenated_conv2d: Callable | None = None


KERAS_LAYERS = LayerClasses()


class SubpixelConv2DTranspose(layers.Conv2DTranspose):
    """Transposed convolution whose stride is its kernel size, as a 1x1 convolution.

    Each pixel of the input becomes a patch of the output (sub-pixel convolution, Shi et al. 2016).
    The bias and its gradient, each a pass over the large output in Keras' layer, become part of
    the convolution of the small input.
    """

    def call(self, inputs):
        """Convolve (batch, h, w, channels) to (batch, rows h, columns w, filters)."""
        batch, height, width, channels = ops.shape(inputs)
        rows, columns = self.kernel_size
        # from (rows, columns, filters, channels)
        kernel = ops.reshape(ops.transpose(self.kernel, (3, 0, 1, 2)), (1, 1, channels, -1))
        patches = ops.conv(inputs, kernel)
        if self.use_bias:
            patches = ops.add(patches, ops.tile(self.bias, rows * columns))
        # The columns of a patch are consecutive already.
        patches = ops.reshape(patches, (batch, height, width, rows, columns * self.filters))
        patches = ops.transpose(patches, (0, 1, 3, 2, 4))
        return ops.reshape(patches, (batch, rows * height, columns * width, self.filters))


class ReshapedMaxPooling2D(layers.MaxPooling2D):
    """Max pooling of images whose sides are multiples of the window, as a choice between values.

    XLA computes the gradient of a choice faster than that of a sliding window. `ops.max` is not
    used: its gradient compares the values with their maximum, which XLA may compute a second time
    with another rounding, and divides by the number of equal ones, which is then 0.
    """

    def call(self, inputs):
        """Pool (batch, h, w, channels) to (batch, h / rows, w / columns, channels)."""
        batch, height, width, channels = ops.shape(inputs)
        rows, columns = self.pool_size
        windows = (batch, height // rows, rows, width // columns, columns, channels)
        values = ops.reshape(inputs, windows)
        values = functools.reduce(_larger, [values[:, :, row] for row in range(rows)])
        return functools.reduce(_larger, [values[:, :, :, column] for column in range(columns)])


class OnePassBatchNormalization(layers.BatchNormalization):
    """Batch normalisation that reads its input once for mean and variance, not twice.

    The variance is the mean square minus the squared mean, as in Flax. Both sums are float32.
    """

    def call(self, inputs, training=None, mask=None):
        """Normalise the channels of (batch, h, w, channels)."""
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        values, axes = ops.cast(inputs, "float32"), tuple(range(len(inputs.shape) - 1))
        mean = ops.mean(values, axis=axes)
        variance = ops.mean(ops.square(values), axis=axes) - ops.square(mean)
        variance = ops.maximum(variance, 0)  # rounding can make it negative
        for moving, current in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + current * (1 - self.momentum))
        scale = self.gamma * ops.rsqrt(variance + self.epsilon)
        return ops.cast(values * scale + (self.beta - mean * scale), inputs.dtype)


def _larger(first, second):
    return ops.where(first > second, first, second)
