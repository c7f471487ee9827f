"""Layers that train faster on TensorFlow: they compute the same as those of Keras."""

import tensorflow as tf
from keras import layers, ops


class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalisation that trains with TensorFlow's fused kernel instead of single operations.

    It equals Keras' layer except for rounding and for the moving variance, which is the unbiased
    estimate.
    """

    def call(self, inputs, training=None, mask=None):
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        for moving, current in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + current * (1 - self.momentum))
        return outputs


class SynchronizedBatchNormalization(layers.BatchNormalization):
    """Batch normalisation with the mean and variance over all replicas."""

    def __init__(self, **options):
        super().__init__(**options, synchronized=True)


class ConcatenatedConv2D(layers.Conv2D):
    """Concatenation of two images along their channels, and convolution with stride 1.

    The gradient of each image is computed for itself. This saves the copies by which TensorFlow
    splits the gradient of a concatenation.
    """

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.input_spec = None  # there are two inputs

    def build(self, input_shape):
        super().build(_concatenated(input_shape))
        self.input_spec = None

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(_concatenated(input_shape))

    def call(self, inputs):
        outputs = _convolve_two(*inputs, tf.convert_to_tensor(self.kernel))
        return ops.add(outputs, self.bias) if self.use_bias else outputs


def _concatenated(shapes) -> tuple:
    """Return the shape of the concatenation; `Conv2D.build` passes it on once more."""
    if not isinstance(shapes[0], list | tuple):
        return shapes
    return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))


@tf.custom_gradient
def _convolve_two(first, second, kernel):
    """Convolve two tensors (batch, h, w, channels), concatenated, with padding 'same'."""
    inputs, channels = tf.concat([first, second], axis=-1), first.shape[-1]
    options = {"strides": [1, 1, 1, 1], "padding": "SAME"}

    def gradient(upstream):
        parts = (first, kernel[:, :, :channels]), (second, kernel[:, :, channels:])
        of_inputs = [
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(part), filter=weights, out_backprop=upstream, **options
            )
            for part, weights in parts
        ]
        of_kernel = tf.raw_ops.Conv2DBackpropFilter(
            input=inputs, filter_sizes=tf.shape(kernel), out_backprop=upstream, **options
        )
        return *of_inputs, of_kernel

    return tf.raw_ops.Conv2D(input=inputs, filter=kernel, **options), gradient
