"""Known networks as encoders of the U-Net, optionally with ImageNet weights."""

from pathlib import Path

import keras
from keras import layers

from liverseg_tf.choices import ENCODERS, KERAS_ENCODERS
from liverseg_tf.errors import LiverSegError, SettingsError, first_line
from liverseg_tf.train.network.efficientnet_lite import build_efficientnet_lite0
from liverseg_tf.train.network.imagenet_weights import set_imagenet_weights
from liverseg_tf.train.network.layer_classes import KERAS_LAYERS, LayerClasses
from liverseg_tf.train.settings import ENCODER_DEPTH

_PROBE_SIZE = 64  # pixels


def build_encoder(
    name: str, tiles, weights: str | None = None, layer_classes: LayerClasses = KERAS_LAYERS
) -> list:
    """Build an encoder and return its last feature map of each size.

    Args:
        name: One of `choices.ENCODERS`.
        tiles: (batch, h, w, channels), 0..255; h and w are multiples of 32. EfficientNet-Lite0
            takes any number of channels. For the others, a single channel is repeated three
            times, three channels are used as they are, and any other number is mapped to three
            by a 1x1 convolution.
        weights: None for random weights, 'imagenet' for those of an installed package
            (EfficientNet-Lite0) or to let Keras download them (the others), or the path of a
            file of weights.
        layer_classes: Keras' layers, or faster ones, for EfficientNet-Lite0.

    Returns:
        Five tensors (batch, h / n, w / n, filters) for n = 2, 4, 8, 16, 32.

    Raises:
        SettingsError: If the name is not in `choices.ENCODERS`.
        LiverSegError: If the weights cannot be read or downloaded.
    """
    if name not in ENCODERS:
        raise SettingsError(f"Expected an encoder of {', '.join(ENCODERS)}. Received {name}.")
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise LiverSegError(f"Expected weights of {name} at {weights}. Received: no such file.")
    if name not in KERAS_ENCODERS:
        return _build_lite_encoder(name, tiles, weights, layer_classes)
    constructor = getattr(keras.applications, name)
    # A small copy tells which layer is the last of each size. Its position is counted from the
    # end, because the real encoder has more layers in front of it.
    probe = constructor(include_top=False, weights=None, input_shape=(_PROBE_SIZE, _PROBE_SIZE, 3))
    last_of_size = {
        layer.output.shape[1]: position - len(probe.layers)
        for position, layer in enumerate(probe.layers)
        if _has_feature_map(layer)
    }
    try:
        encoder = constructor(
            include_top=False, weights=weights, input_tensor=_to_three_channels(tiles)
        )
    except Exception as error:  # Keras raises many classes for failed downloads and broken files
        raise _unreadable(name, weights, error) from error
    return [
        encoder.layers[last_of_size[_PROBE_SIZE // 2**level]].output
        for level in range(1, ENCODER_DEPTH + 1)
    ]


def _build_lite_encoder(name: str, tiles, weights: str | None, layer_classes: LayerClasses) -> list:
    encoder = build_efficientnet_lite0(tiles, layer_classes)
    if weights == "imagenet":
        set_imagenet_weights(encoder)
    elif weights is not None:
        try:
            encoder.load_weights(weights)
        except Exception as error:  # Keras raises many classes for broken files
            raise _unreadable(name, weights, error) from error
    return encoder.outputs


def _unreadable(name: str, weights: str | None, error: Exception) -> LiverSegError:
    return LiverSegError(f"Expected weights of {name} at {weights}. Received: {first_line(error)}")


def _has_feature_map(layer) -> bool:
    return len(layer.output.shape) == 4


def _to_three_channels(tiles):
    channels = tiles.shape[-1]
    if channels == 3:
        return tiles
    if channels == 1:
        return layers.Concatenate(name="three_channels")([tiles] * 3)
    return layers.Conv2D(3, 1, name="three_channels")(tiles)
