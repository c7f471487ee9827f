"""The U-Net (Ronneberger, Fischer, Brox 2015) as a Keras functional model."""

from dataclasses import dataclass, fields

import keras
from keras import layers

from liverseg_tf.train.network.blocks import BlockBuilder
from liverseg_tf.train.network.conditional import product_of_outer
from liverseg_tf.train.network.encoders import build_encoder
from liverseg_tf.train.network.layer_classes import KERAS_LAYERS, LayerClasses


@dataclass(frozen=True, repr=False)
class UNetSpec:
    """Architecture of the network.

    Args:
        channels: Number of input channels: context slices times windows.
        outputs: Names of the regions, one output channel each.
        base_filters: Number of filters of the first level; doubled on each level, at most 512.
        depth: Number of pooling levels.
        normalisation: 'batch', 'instance' or 'none'.
        dropout: Dropout rate at the two lowest levels.
        residual: Whether a block adds its input to its output (He et al. 2016).
        attention: Whether the skip connections have attention gates (Oktay et al. 2018).
        patch: Side of the patches, in pixels, that become one pixel of the first level. With 2
            the network is about four times as fast, and its receptive field is twice as wide.
        stem_filters: Number of filters of a convolution at full resolution beside the patches,
            whose features join those of the last level (a skip connection). 0: there is none.
        encoder: Name of a known network that replaces the encoder path. It has five levels, of
            which patches leave out the first: the depth is 5, or 4 with `patch` 2.
        encoder_weights: Initial weights of this encoder: None for random weights, 'imagenet', or
            the path of a file.
        inside: For each output, the numbers of the outputs whose regions contain its region, if
            its logits are those of a conditional probability: that of a lesion where the organ
            is. Empty: no output is conditional.

    Example:
        >>> UNetSpec(channels=3, residual=True)
        UNetSpec(channels=3, outputs=('liver',), base_filters=16, depth=4, residual=True)
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
    stem_filters: int = 0
    encoder: str | None = None
    encoder_weights: str | None = None
    inside: tuple[tuple[int, ...], ...] = ()

    def __repr__(self) -> str:
        size = ("channels", "outputs", "base_filters", "depth")
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        default = {field.name: field.default for field in fields(self)}
        shown = [name for name in values if name in size or values[name] != default[name]]
        return f"UNetSpec({', '.join(f'{name}={values[name]!r}' for name in shown)})"

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this number of pixels."""
        return self.patch * 2**self.depth


def build_unet(spec: UNetSpec) -> keras.Model:
    """Build the network for inference. It is fully convolutional: slices may have any size.

    Args:
        spec: Architecture of the network.

    Returns:
        Model from (batch, h, w, channels), 0..255, to probabilities (batch, h, w, outputs)
        float32. It contains the scaling of the input to -1..1, so that callers need no
        preprocessing of their own.

    Raises:
        SettingsError: If the encoder is unknown.
        LiverSegError: If the weights of the encoder cannot be read.
    """
    training_model = build_training_unet(spec)
    outputs = layers.Activation("sigmoid", dtype="float32", name="probabilities")(
        training_model.get_layer("logits").output
    )
    if any(spec.inside):
        outputs = outputs * product_of_outer(outputs, spec.inside)
    return keras.Model(training_model.input, outputs, name="unet")


def build_training_unet(
    spec: UNetSpec,
    deep_supervision: int = 1,
    layer_classes: LayerClasses = KERAS_LAYERS,
) -> keras.Model:
    """Build the network for training.

    Args:
        spec: Architecture of the network.
        deep_supervision: Number of outputs. The first is the output of the network, the others
            are outputs of coarser and coarser levels (deep supervision, Lee et al. 2015).
        layer_classes: Keras' layers, or faster ones.

    Returns:
        Model from (batch, h, w, channels), 0..255, to float32 logits, or to a list of several.
        Output n has the shape (batch, h / 2**n, w / 2**n, outputs). With patches, all outputs
        but the first are smaller by the patch size as well.

    Raises:
        SettingsError: If the encoder is unknown.
        LiverSegError: If the weights of the encoder cannot be read.
    """
    blocks = BlockBuilder(spec.base_filters, spec.normalisation, spec.residual, layer_classes)
    inputs = keras.Input((None, None, spec.channels), name="tiles")
    build_path = _encoder_path if spec.encoder is None else _pretrained_encoder_path
    skips, x = build_path(inputs, spec, blocks)
    outputs = []
    for level in reversed(range(spec.depth)):
        name = f"up{level}"
        upsample = layer_classes.conv2d_transpose
        x = upsample(blocks.filters(level), 2, strides=2, name=f"{name}_upsample")(x)
        skip = skips[level]
        if spec.attention:
            skip = blocks.attention_gate(skip, x, name)
        x = blocks.convolution_block([skip, x], level, name)
        if level == 0 and spec.stem_filters:
            x = _add_stem(x, inputs, spec, blocks)
        if level < deep_supervision:
            outputs.append(_add_output(x, spec, level, layer_classes))
    return keras.Model(inputs, outputs[::-1], name="unet")


def _encoder_path(inputs, spec: UNetSpec, blocks: BlockBuilder) -> tuple[list, object]:
    """Build the encoder path; return the skip connections by level, and the bottleneck."""
    x = _rescale(inputs)
    if spec.patch > 1:
        x = layers.Conv2D(blocks.filters(0), spec.patch, strides=spec.patch, name="patch")(x)
    skips = []
    for level in range(spec.depth):
        x = _add_dropout(blocks.convolution_block(x, level, f"down{level}"), spec, level)
        skips.append(x)
        x = blocks.layer_classes.max_pooling(name=f"pool{level}")(x)
    x = blocks.convolution_block(x, spec.depth, "bottleneck")
    return skips, _add_dropout(x, spec, spec.depth)


def _pretrained_encoder_path(inputs, spec: UNetSpec, blocks: BlockBuilder) -> tuple[list, object]:
    """Build the path with a known network as the encoder; see `_encoder_path`.

    Such an encoder has no features at full resolution. Without patches, level 0 has a block of the
    U-Net; with patches, level 0 is the level of the encoder that has their size.
    """
    assert spec.encoder is not None, "such a network has an encoder"
    layer_classes = blocks.layer_classes
    *skips, bottleneck = build_encoder(spec.encoder, inputs, spec.encoder_weights, layer_classes)
    if spec.patch == 1:
        return [blocks.convolution_block(_rescale(inputs), 0, "down0"), *skips], bottleneck
    return skips[-spec.depth :], bottleneck


def _rescale(inputs):
    """Scale 0..255 to -1..1."""
    return layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(inputs)


def _add_dropout(x, spec: UNetSpec, level: int):
    """Add dropout of whole channels, at the two lowest levels only."""
    if not spec.dropout or level < spec.depth - 1:
        return x
    return layers.SpatialDropout2D(spec.dropout, name=f"dropout{level}")(x)


def _add_stem(x, inputs, spec: UNetSpec, blocks: BlockBuilder):
    """Return features at full resolution: those of the last level, and a skip from the input."""
    scaled = layers.Rescaling(1 / 127.5, offset=-1, name="stem_rescale")(inputs)
    stem = blocks.convolution(scaled, spec.stem_filters, "stem")
    upsample = blocks.layer_classes.conv2d_transpose
    x = upsample(spec.stem_filters, spec.patch, strides=spec.patch, name="stem_upsample")(x)
    return blocks.convolution([stem, x], spec.stem_filters, "stem_out")


def _add_output(x, spec: UNetSpec, level: int, layer_classes: LayerClasses):
    """Add the convolution that maps the features of a level to logits."""
    name = f"logits{level}" if level else "logits"
    # float32 under mixed precision, too: probabilities near 0 and 1 need its precision
    if level == 0 and spec.patch > 1 and not spec.stem_filters:
        return layer_classes.conv2d_transpose(
            len(spec.outputs), spec.patch, strides=spec.patch, dtype="float32", name=name
        )(x)
    return layers.Conv2D(len(spec.outputs), 1, dtype="float32", name=name)(x)
