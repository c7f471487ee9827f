"""Networks of keras.applications as encoders, which may have seen ImageNet."""

from pathlib import Path

import keras
from keras import layers

from liverseg_tf.errors import LiverSegError, SettingsError

# those that scale their input themselves, from 0..255
ENCODERS = (
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2S",
    "MobileNetV3Small",
    "MobileNetV3Large",
)
DEPTH = 5
_PROBE = 64


def encoder_features(name: str, tiles, weights: str | None = None) -> list:
    """An encoder's last features of each size.

    Args:
        name: one of `ENCODERS`.
        tiles: (batch, h, w, channels), 0..255; h and w multiples of 32. One channel is repeated,
            three are taken as colours, others are mixed to three.
        weights: None draws them, 'imagenet' lets Keras fetch them, else a file of them.

    Returns:
        Five tensors (batch, h / n, w / n, filters), n = 2, 4, 8, 16, 32.

    Raises:
        SettingsError: for another name.
    """
    if name not in ENCODERS:
        raise SettingsError(f"Expected an encoder of {', '.join(ENCODERS)}. Received {name!r}.")
    make = getattr(keras.applications, name)
    probe = make(include_top=False, weights=None, input_shape=(_PROBE, _PROBE, 3))
    # counted from the end: what comes before the encoder may be more
    last = {
        layer.output.shape[1]: number - len(probe.layers)
        for number, layer in enumerate(probe.layers)
        if _is_map(layer)
    }
    encoder = _with_weights(make, weights, _colours(tiles))
    return [encoder.layers[last[_PROBE // 2**level]].output for level in range(1, DEPTH + 1)]


def _with_weights(make, weights: str | None, colours):
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise LiverSegError(
            f"Expected weights of {make.__name__} at {weights}. Received: no such file."
        )
    try:
        return make(include_top=False, weights=weights, input_tensor=colours)
    except Exception as error:  # a download, or any file that is no file of weights
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise LiverSegError(
            f"Expected weights of {make.__name__} at {weights}. Received: {lines[0]}"
        ) from error


def _is_map(layer) -> bool:
    return len(layer.output.shape) == 4


def _colours(tiles):
    channels = tiles.shape[-1]
    if channels == 3:
        return tiles
    if channels == 1:
        return layers.Concatenate(name="colours")([tiles] * 3)
    return layers.Conv2D(3, 1, name="colours")(tiles)
