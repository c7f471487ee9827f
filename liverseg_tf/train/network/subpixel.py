"""Transposed convolutions without overlap, in the form in which they train fastest."""

from keras import layers, ops


class SubpixelConv2DTranspose(layers.Conv2DTranspose):
    """Transposed convolution whose stride is its kernel size, as a 1x1 convolution.

    Each pixel of the input becomes a patch of the output (sub-pixel convolution, Shi et al. 2016).
    Weights and results are those of Keras' layer. The bias and its gradient, which cost a pass each
    over the large output there, become part of the convolution of the small input.
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
