"""The U-Net (Ronneberger, Fischer, Brox 2015) as a Keras functional model."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers

from liverseg_tf.train.network.blocks import Blocks
from liverseg_tf.train.network.encoders import encoder_features


@dataclass(frozen=True)
class UNetSpec:
    """Shape of the network.

    Args:
        channels: of the input: slices of context times windows.
        outputs: names of the regions, one channel each.
        base_filters: of the first level; doubled on each level, at most 512.
        depth: levels of pooling.
        normalisation: 'batch', 'instance' or 'none'.
        dropout: rate at the two lowest levels.
        residual: whether a block adds its input to its output (He et al. 2016).
        attention: whether skips are weighted by the level below (Oktay et al. 2018).
        patch: pixels along each side that are one pixel of the first level: with 2 the network is
            about four times as fast, and sees twice as far.
        encoder: name of a network of keras.applications in place of the way down; its depth is 5.
        encoder_weights: its first ones: None draws them, 'imagenet' fetches them, or a file.
    """

    channels: int = 1
    outputs: tuple[str, ...] = ("liver",)
    base_filters: int = 16
    depth: int = 4
    normalisation: str = "batch"
    dropout: float = 0.0
    residual: bool = False
    attention: bool = False
    patch: int = 1
    encoder: str | None = None
    encoder_weights: str | None = None

    @property
    def stride(self) -> int:
        """Input lengths must be multiples of it."""
        return self.patch * 2**self.depth


def build_unet(spec: UNetSpec) -> keras.Model:
    """Build the network that predicts; it is fully convolutional and takes slices of any size.

    Args:
        spec: its shape.

    Returns:
        (batch, h, w, channels), values 0..255, to (batch, h, w, outputs) float32 probabilities.
        Scaling to -1..1 is the first layer, so that nobody has to know of it.
    """
    learning = build_training_unet(spec)
    outputs = layers.Activation("sigmoid", dtype="float32", name="probabilities")(
        learning.get_layer("logits").output
    )
    return keras.Model(learning.input, outputs, name="unet")


def build_training_unet(
    spec: UNetSpec,
    deep_supervision: int = 1,
    batch_normalisation: Callable = layers.BatchNormalization,
) -> keras.Model:
    """Build the network that learns.

    Args:
        spec: its shape.
        heads: outputs: the first is that of the network, further ones come from coarser and
            coarser levels (deep supervision, Lee et al. 2015).
        batch_normalisation: the layer of that name, or one that computes the same faster.

    Returns:
        As `build_unet`, to float32 logits, or a list of several: number n is (batch, h / 2**n,
        w / 2**n, outputs), and with patches those after the first are smaller by them.
    """
    blocks = Blocks(spec.base_filters, spec.normalisation, spec.residual, batch_normalisation)
    inputs = keras.Input((None, None, spec.channels), name="tiles")
    skips, x = (_encoder_path if spec.encoder is None else _encoder)(inputs, spec, blocks)
    found = []
    for level in reversed(range(spec.depth)):
        filters = blocks.filters(level)
        x = layers.Conv2DTranspose(filters, 2, strides=2, name=f"up{level}_grow")(x)
        skip = blocks.gate(skips[level], x, f"up{level}") if spec.attention else skips[level]
        x = blocks.block(layers.Concatenate(name=f"up{level}_join")([skip, x]), level, f"up{level}")
        if level < deep_supervision:
            found.append(_logits(x, spec, level))
    return keras.Model(inputs, found[::-1], name="unet")


def _encoder_path(inputs, spec: UNetSpec, blocks: Blocks) -> tuple[list, object]:
    """What each level hands over, and the bottom."""
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(inputs)
    if spec.patch > 1:
        x = layers.Conv2D(blocks.filters(0), spec.patch, strides=spec.patch, name="patch")(x)
    skips = []
    for level in range(spec.depth):
        x = _dropped(blocks.block(x, level, f"down{level}"), spec, level)
        skips.append(x)
        x = layers.MaxPooling2D(name=f"pool{level}")(x)
    return skips, _dropped(blocks.block(x, spec.depth, "bottom"), spec, spec.depth)


def _encoder(inputs, spec: UNetSpec, blocks: Blocks) -> tuple[list, object]:
    """As above; the encoder has no level of full size, hence a block of our own there."""
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(inputs)
    *coarse, bottom = encoder_features(spec.encoder, inputs, spec.encoder_weights)
    return [blocks.block(x, 0, "down0"), *coarse], bottom


def _dropped(x, spec: UNetSpec, level: int):
    if not spec.dropout or level < spec.depth - 1:
        return x
    return layers.SpatialDropout2D(spec.dropout, name=f"drop{level}")(x)


def _logits(x, spec: UNetSpec, level: int):
    name = f"logits{level}" if level else "logits"
    # float32 also under mixed precision: probabilities near 0 and 1 need its digits
    if level == 0 and spec.patch > 1:
        return layers.Conv2DTranspose(
            len(spec.outputs), spec.patch, strides=spec.patch, dtype="float32", name=name
        )(x)
    return layers.Conv2D(len(spec.outputs), 1, dtype="float32", name=name)(x)
