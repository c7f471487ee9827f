"""The U-Net (Ronneberger, Fischer, Brox 2015) as a Keras functional model."""

from dataclasses import dataclass

import keras
from keras import layers

MOST_FILTERS = 512


@dataclass(frozen=True)
class UNetSpec:
    """Shape of the network.

    Args:
        channels: of the input: slices of context times windows.
        outputs: names of the regions, one sigmoid channel each.
        base_filters: of the first level; doubled on each level, at most 512.
        depth: levels of pooling; input lengths must be multiples of 2**depth.
        normalisation: 'batch', 'instance' or 'none'.
        dropout: rate at the two lowest levels.
    """

    channels: int = 1
    outputs: tuple[str, ...] = ("liver",)
    base_filters: int = 16
    depth: int = 4
    normalisation: str = "batch"
    dropout: float = 0.0

    @property
    def stride(self) -> int:
        return 2**self.depth


def build_unet(spec: UNetSpec) -> keras.Model:
    """Build the network, fully convolutional: it takes slices of any size.

    Args:
        spec: its shape.

    Returns:
        (batch, h, w, channels), values 0..255, to (batch, h, w, outputs) float32
        probabilities. Scaling to -1..1 is the first layer, so that nobody has to know of it.
    """
    inputs = keras.Input((None, None, spec.channels), name="tiles")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(inputs)
    skips = []
    for level in range(spec.depth):
        x = _double_conv(x, spec, level, f"down{level}")
        skips.append(x)
        x = layers.MaxPooling2D(name=f"pool{level}")(x)
    x = _double_conv(x, spec, spec.depth, "bottom")
    for level in reversed(range(spec.depth)):
        up = layers.Conv2DTranspose(_filters(spec, level), 2, strides=2, name=f"up{level}_grow")
        x = layers.Concatenate(name=f"up{level}_join")([skips[level], up(x)])
        x = _double_conv(x, spec, level, f"up{level}")
    # float32 also under mixed precision: probabilities near 0 and 1 need its digits
    x = layers.Conv2D(len(spec.outputs), 1, dtype="float32", name="logits")(x)
    outputs = layers.Activation("sigmoid", dtype="float32", name="probabilities")(x)
    return keras.Model(inputs, outputs, name="unet")


def _double_conv(x, spec: UNetSpec, level: int, name: str):
    for step in "ab":
        x = layers.Conv2D(
            _filters(spec, level),
            3,
            padding="same",
            use_bias=spec.normalisation == "none",
            kernel_initializer="he_normal",
            name=f"{name}_conv_{step}",
        )(x)
        if spec.normalisation == "batch":
            # runs are short: 0.99 would still average over the first, untrained batches
            x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm_{step}")(x)
        elif spec.normalisation == "instance":
            x = layers.GroupNormalization(groups=-1, name=f"{name}_norm_{step}")(x)
        x = layers.Activation("relu", name=f"{name}_relu_{step}")(x)
    if spec.dropout and level >= spec.depth - 1:
        x = layers.SpatialDropout2D(spec.dropout, name=f"{name}_dropout")(x)
    return x


def _filters(spec: UNetSpec, level: int) -> int:
    return min(spec.base_filters * 2**level, MOST_FILTERS)
