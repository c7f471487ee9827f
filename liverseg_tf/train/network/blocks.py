"""Building blocks of the U-Net: convolution blocks and attention gates."""

from collections.abc import Callable
from dataclasses import dataclass

from keras import layers

from liverseg_tf.train.network.layer_classes import KERAS_LAYERS, LayerClasses

MAX_FILTERS = 512


@dataclass(frozen=True)
class BlockBuilder:
    """Builds the blocks of a network level by level; level 0 is the finest.

    Args:
        base_filters: Number of filters of level 0; doubled on each level, at most 512.
        normalisation: 'batch', 'instance' or 'none'.
        residual: Whether a block adds its input to its output (He et al. 2016).
        layer_classes: Keras' layers, or faster ones.
    """

    base_filters: int
    normalisation: str
    residual: bool
    layer_classes: LayerClasses = KERAS_LAYERS

    def filters(self, level: int) -> int:
        """Number of filters of a level."""
        return min(self.base_filters * 2**level, MAX_FILTERS)

    def convolution_block(self, x, level: int, name: str):
        """Apply convolution, normalisation and ReLU, twice.

        Args:
            x: (batch, h, w, channels), or a list of two, which are concatenated.
            level: Level that determines the number of filters.
            name: Prefix of the layer names.

        Returns:
            (batch, h, w, filters).
        """
        filters = self.filters(level)
        if isinstance(x, list) and self.layer_classes.concatenated_conv2d is None:
            x = layers.Concatenate(name=f"{name}_concat")(x)
        y = self._convolve(x, filters, name, "a")
        y = layers.Activation("relu", name=f"{name}_relu_a")(y)
        y = self._convolve(y, filters, name, "b")
        if self.residual:
            if isinstance(x, list) or x.shape[-1] != filters:
                convolve = self._convolution_of(x)
                x = convolve(filters, 1, use_bias=False, name=f"{name}_conv_shortcut")(x)
            y = layers.Add(name=f"{name}_add")([x, y])
        return layers.Activation("relu", name=f"{name}_relu_b")(y)

    def convolution(self, x, filters: int, name: str):
        """Apply convolution, normalisation and ReLU, once.

        Args:
            x: (batch, h, w, channels), or a list of two, which are concatenated.
            filters: Number of filters.
            name: Prefix of the layer names.

        Returns:
            (batch, h, w, filters).
        """
        if isinstance(x, list) and self.layer_classes.concatenated_conv2d is None:
            x = layers.Concatenate(name=f"{name}_concat")(x)
        x = self._convolve(x, filters, name, "a")
        return layers.Activation("relu", name=f"{name}_relu")(x)

    def attention_gate(self, skip, coarse, name: str):
        """Weight each pixel of a skip connection by an additive attention gate.

        Source: Oktay et al. 2018, "Attention U-Net".

        Args:
            skip: (batch, h, w, filters), features of the encoder path.
            coarse: (batch, h, w, filters), features of the level below, upsampled.
            name: Prefix of the layer names.

        Returns:
            `skip` times a weight from 0 to 1 per pixel: (batch, h, w, filters).
        """
        filters = max(1, skip.shape[-1] // 2)
        projections = [
            layers.Conv2D(filters, 1, use_bias=kind == "coarse", name=f"{name}_gate_{kind}")(x)
            for kind, x in (("skip", skip), ("coarse", coarse))
        ]
        x = layers.Add(name=f"{name}_gate_add")(projections)
        x = layers.ReLU(name=f"{name}_gate_relu")(x)
        weight = layers.Conv2D(1, 1, activation="sigmoid", name=f"{name}_gate_weight")(x)
        return layers.Multiply(name=f"{name}_gate")([skip, weight])

    def _convolution_of(self, x) -> Callable:
        """Return the class of layers that convolves one image, or two concatenated ones."""
        concatenated = self.layer_classes.concatenated_conv2d
        return concatenated if concatenated and isinstance(x, list) else layers.Conv2D

    def _convolve(self, x, filters: int, name: str, suffix: str):
        """Apply a 3x3 convolution and the normalisation layer."""
        x = self._convolution_of(x)(
            filters,
            3,
            padding="same",
            use_bias=self.normalisation == "none",
            kernel_initializer="he_normal",
            name=f"{name}_conv_{suffix}",
        )(x)
        if self.normalisation == "batch":
            # Runs are short. With Keras' default momentum of 0.99, the moving averages would
            # still contain the first batches, from before the network had learnt anything.
            normalise = self.layer_classes.batch_normalisation
            return normalise(momentum=0.9, name=f"{name}_norm_{suffix}")(x)
        if self.normalisation == "instance":
            return layers.GroupNormalization(groups=-1, name=f"{name}_norm_{suffix}")(x)
        return x
