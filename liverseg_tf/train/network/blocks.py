"""The parts of the U-Net: two convolutions, with what belongs to them, and attention gates."""

from collections.abc import Callable
from dataclasses import dataclass

from keras import layers

MOST_FILTERS = 512


@dataclass(frozen=True)
class Blocks:
    """Makes the layers of a network by level; level 0 is the finest.

    Args:
        base_filters: of level 0; doubled on each level, at most 512.
        normalisation: 'batch', 'instance' or 'none'.
        residual: whether a block adds its input to its output (He et al. 2016).
        batch_normalisation: the layer of that name, or one that computes the same faster.
    """

    base_filters: int
    normalisation: str
    residual: bool
    batch_normalisation: Callable = layers.BatchNormalization

    def filters(self, level: int) -> int:
        return min(self.base_filters * 2**level, MOST_FILTERS)

    def block(self, x, level: int, name: str):
        """Twice convolution, normalisation and ReLU, (batch, h, w, any) to (..., filters)."""
        filters = self.filters(level)
        y = self._activated(self._convolved(x, filters, f"{name}_{{}}_a"), f"{name}_relu_a")
        y = self._convolved(y, filters, f"{name}_{{}}_b")
        if self.residual:
            if x.shape[-1] != filters:
                x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_conv_shortcut")(x)
            y = layers.Add(name=f"{name}_sum")([x, y])
        return self._activated(y, f"{name}_relu_b")

    def gate(self, skip, coarse, name: str):
        """Weigh each pixel of `skip` by what the level below knows (Oktay et al. 2018).

        Args:
            skip: (batch, h, w, filters).
            coarse: (batch, h, w, filters), grown to the same size.
            name: of the layers.
        """
        filters = max(1, skip.shape[-1] // 2)
        parts = [
            layers.Conv2D(filters, 1, use_bias=part == "coarse", name=f"{name}_gate_{part}")(x)
            for part, x in (("skip", skip), ("coarse", coarse))
        ]
        x = layers.ReLU(name=f"{name}_gate_relu")(layers.Add(name=f"{name}_gate_sum")(parts))
        weight = layers.Conv2D(1, 1, activation="sigmoid", name=f"{name}_gate_weight")(x)
        return layers.Multiply(name=f"{name}_gate")([skip, weight])

    def _convolved(self, x, filters: int, name: str):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=self.normalisation == "none",
            kernel_initializer="he_normal",
            name=name.format("conv"),
        )(x)
        if self.normalisation == "batch":
            # runs are short: 0.99 would still average over the first, untrained batches
            return self.batch_normalisation(momentum=0.9, name=name.format("norm"))(x)
        if self.normalisation == "instance":
            return layers.GroupNormalization(groups=-1, name=name.format("norm"))(x)
        return x

    def _activated(self, x, name: str):
        return layers.Activation("relu", name=name)(x)
