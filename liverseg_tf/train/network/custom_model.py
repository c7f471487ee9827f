"""Networks of the caller: copies for slices of any size, with probabilities as their output."""

from collections.abc import Callable
from contextlib import suppress

import keras
import numpy as np
from keras import ops

from liverseg_tf.errors import LiverSegError, SettingsError, first_line
from liverseg_tf.model.spec import MAX_STRIDE
from liverseg_tf.plural import count

_SUM_TOLERANCE, _LEAST_RANGE = 1e-4, 1e-2
_FAINT = 100  # divisor of the values of a tile
_SMALLEST, _LARGEST = 1e-30, 1 - 6e-8  # probabilities of float32 whose logits are finite


def copy_model(model: keras.Model, channels: int, regions: int) -> keras.Model:
    """Copy a network, with its weights, to one for slices of any size in float32.

    A model of a subclass that is made from inputs and outputs becomes a plain functional model,
    which can be loaded without the subclass.

    Args:
        model: Network from (batch, h, w, channels) to (batch, h, w, regions).
        channels: Number of input channels that it must have.
        regions: Number of output channels that it must have.

    Raises:
        SettingsError: If it has other inputs or outputs, or cannot be copied for slices of any
            size.
    """
    if not isinstance(model, keras.Model):
        raise SettingsError(
            f"Expected a Keras model. Received an object of class {type(model).__name__}."
        )
    inputs = keras.Input((None, None, channels), name="tiles")
    try:
        if _has_graph(model):
            _check_ends(model, channels, regions)
            copy = keras.models.clone_model(_plain(model), inputs, _copy_layer)
        else:  # its layers are known to its method `call` only
            copy = keras.Model(inputs, type(model).from_config(model.get_config())(inputs))
            _check_ends(copy, channels, regions)
        copy.set_weights(weights_of(model))
    except LiverSegError:
        raise
    except Exception as error:  # layers raise errors of many classes
        raise SettingsError(
            f"Expected a model for tiles of any height and width, of the shape (None, None, "
            f"{channels}). Received one that cannot be copied for them: {first_line(error)}"
        ) from error
    return copy


def weights_of(model: keras.Model) -> list[np.ndarray]:
    """Return the weights of a network in the order of those of its copies."""
    return (_plain(model) if _has_graph(model) else model).get_weights()


def with_probabilities(model: keras.Model, from_logits: bool) -> keras.Model:
    """Return a model whose outputs are probabilities in float32, which shares the weights.

    Args:
        model: Result of `copy_model`.
        from_logits: Whether it returns logits.
    """
    if not from_logits:
        return model
    sigmoid = keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")
    return keras.Model(model.inputs[0], sigmoid(model.outputs[0]))


def find_stride(model: keras.Model) -> int:
    """Find the number of which height and width of the input must be multiples: a power of two.

    Args:
        model: Result of `copy_model`.

    Raises:
        SettingsError: If the output never has the height and width of the input.
    """
    stride, channels = 1, model.input_shape[-1]
    while stride <= MAX_STRIDE:
        shape = (1, stride, 3 * stride, channels)
        with suppress(Exception):  # layers whose inputs do not fit raise errors of many classes
            if tuple(model.compute_output_shape(shape))[:3] == shape[:3]:
                return stride
        stride *= 2
    raise SettingsError(
        "Expected a model whose output has the height and width of its input. Received one of "
        f"another size for all inputs up to {MAX_STRIDE} pixels."
    )


def logits_of(probabilities):
    """Return the logits of probabilities; where these are rounded to 0 or 1, without a gradient.

    Args:
        probabilities: Values from 0 to 1, of any shape.
    """
    values = ops.clip(ops.cast(probabilities, "float32"), _SMALLEST, _LARGEST)
    return ops.log(values) - ops.log1p(-values)


def check_outputs(predict: Callable[[np.ndarray], np.ndarray], tiles: np.ndarray) -> None:
    """Check on real tiles that a network returns independent probabilities.

    Args:
        predict: Function from (batch, h, w, channels) to (batch, h, w, regions).
        tiles: (batch, h, w, channels) uint8.

    Raises:
        SettingsError: If they are not from 0 to 1, or add up to 1 over the regions (softmax).
    """
    # sigmoids that are near 0 and 1 may add up to 1 as well, but not on faint tiles too
    values = np.stack([np.asarray(predict(tiles)), np.asarray(predict(tiles // _FAINT))])
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise SettingsError(
            "Expected a model that returns probabilities from 0 to 1. Received values from "
            f"{values.min():.3g} to {values.max():.3g}: if they are logits, use from_logits=True."
        )
    are_shares = np.abs(values.sum(axis=-1) - 1).max() < _SUM_TOLERANCE
    # an output that starts with 0.5 everywhere says nothing about its activation
    if values.shape[-1] > 1 and are_shares and np.ptp(values) > _LEAST_RANGE:
        raise SettingsError(
            "Expected one probability for each region, which may overlap. Received values that add "
            "up to 1 over the regions: use sigmoid instead of softmax."
        )


def _has_graph(model: keras.Model) -> bool:
    """Whether a model is made from inputs and outputs, and not only from a method `call`."""
    return bool(getattr(model, "inputs", None) and getattr(model, "outputs", None))


def _plain(model: keras.Model) -> keras.Model:
    """Return the functional model of the same layers; attributes of a subclass are left out."""
    return keras.Model(model.inputs[0], model.outputs[0])


def _check_ends(model: keras.Model, channels: int, regions: int) -> None:
    for name, tensors, expected in (
        ("input", model.inputs, channels),
        ("output", model.outputs, regions),
    ):
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] != expected:
            shown = " and ".join(
                " x ".join("?" if n is None else str(n) for n in s) for s in shapes
            )
            raise SettingsError(
                f"Expected a model with one {name} (batch, height, width, "
                f"{count(expected, 'channel')}). Received {shown}."
            )


def _copy_layer(layer):
    """Copy a layer to one that computes in float32."""
    config = layer.get_config()
    if "dtype" in config and not isinstance(layer, keras.Model):
        config["dtype"] = "float32"
    return type(layer).from_config(config)
