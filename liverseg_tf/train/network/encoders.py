"""Networks of keras.applications as encoders of the U-Net, optionally with ImageNet weights."""

from pathlib import Path

import keras
from keras import layers

from liverseg_tf.choices import ENCODERS
from liverseg_tf.errors import LiverSegError, SettingsError, first_line
from liverseg_tf.train.settings import ENCODER_DEPTH

_PROBE_SIZE = 64  # pixels


def build_encoder(name: str, tiles, weights: str | None = None) -> list:
    """Build an encoder and return its last feature map of each size.

    Args:
        name: One of `choices.ENCODERS`.
        tiles: (batch, h, w, channels), 0..255; h and w are multiples of 32. A single channel is
            repeated three times, three channels are used as they are, and any other number is
            mapped to three by a 1x1 convolution.
        weights: None for random weights, 'imagenet' to let Keras download them, or the path of
            a file of weights.

    Returns:
        Five tensors (batch, h / n, w / n, filters) for n = 2, 4, 8, 16, 32.

    Raises:
        SettingsError: If the name is not in `choices.ENCODERS`.
        LiverSegError: If the weights cannot be read or downloaded.
    """
    if name not in ENCODERS:
        raise SettingsError(f"Expected an encoder of {', '.join(ENCODERS)}. Received {name}.")
    constructor = getattr(keras.applications, name)
    # A small copy tells which layer is the last of each size. Its position is counted from the
    # end, because the real encoder has more layers in front of it.
    probe = constructor(include_top=False, weights=None, input_shape=(_PROBE_SIZE, _PROBE_SIZE, 3))
    last_of_size = {
        layer.output.shape[1]: position - len(probe.layers)
        for position, layer in enumerate(probe.layers)
        if _has_feature_map(layer)
    }
    encoder = _build_with_weights(constructor, weights, _to_three_channels(tiles))
    return [
        encoder.layers[last_of_size[_PROBE_SIZE // 2**level]].output
        for level in range(1, ENCODER_DEPTH + 1)
    ]


def _build_with_weights(constructor, weights: str | None, tiles):
    name = constructor.__name__
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise LiverSegError(f"Expected weights of {name} at {weights}. Received: no such file.")
    try:
        return constructor(include_top=False, weights=weights, input_tensor=tiles)
    except Exception as error:  # Keras raises many classes for failed downloads and broken files
        raise LiverSegError(
            f"Expected weights of {name} at {weights}. Received: {first_line(error)}"
        ) from error


def _has_feature_map(layer) -> bool:
    return len(layer.output.shape) == 4


def _to_three_channels(tiles):
    channels = tiles.shape[-1]
    if channels == 3:
        return tiles
    if channels == 1:
        return layers.Concatenate(name="three_channels")([tiles] * 3)
    return layers.Conv2D(3, 1, name="three_channels")(tiles)
