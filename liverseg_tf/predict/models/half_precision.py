"""A copy of a trained model that predicts in half precision."""

import keras
import numpy as np

_FLOAT32 = ("logits", "probabilities")  # layers that stay in float32, as in training


def to_half_precision(model: keras.Model, precision: str) -> keras.Model:
    """Copy a model to compute in half precision up to the logits, which stay in float32.

    Batch normalisation that follows a convolution becomes a part of its weights. Otherwise Keras
    would convert its input to float32 and back, which takes longer on a CPU than the convolution.

    Args:
        model: Functional model of float32 layers.
        precision: 'bfloat16' or 'float16'. Models that are layers of the model, and its last
            layer, stay in float32.

    Returns:
        The copy, with layers of the same names.
    """
    model = keras.Model(model.inputs[0], model.outputs[0])  # of a Sequential, too
    norm_of = _find_normalised_convolutions(model)
    norms = {norm.name for norm in norm_of.values()}
    output = model.outputs[0]._keras_history.operation.name

    def clone(layer):
        config = layer.get_config()
        if not (isinstance(layer, keras.Model) or layer.name in (*_FLOAT32, output)):
            config["dtype"] = f"mixed_{precision}"
        if layer.name in norms:
            return keras.layers.Identity(name=layer.name, dtype=config["dtype"])
        if layer.name in norm_of:
            config["use_bias"] = True
        return type(layer).from_config(config)

    def call(layer, *arguments, **options):
        # what takes the place of a normalisation has no options, such as a mask
        return layer(*arguments) if layer.name in norms else layer(*arguments, **options)

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer, copied in zip(model.layers, copy.layers, strict=True):
        if layer.name in norm_of:
            copied.set_weights(_fold(layer, norm_of[layer.name]))
        elif layer.name not in norms:
            copied.set_weights(layer.get_weights())
    return copy


def _find_normalised_convolutions(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Return the normalisation of each convolution whose output has no other use, by its name."""
    found = {}
    for layer in model.layers:
        is_plain = type(layer) is keras.layers.Conv2D
        if not is_plain or layer.activation is not keras.activations.linear:
            continue
        consumers = [node.operation for node in layer._outbound_nodes]
        if len(consumers) == 1 and _normalises_channels(consumers[0]):
            found[layer.name] = consumers[0]
    return found


def _normalises_channels(layer) -> bool:
    """Whether a layer is a batch normalisation of the last axis that is used once."""
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return is_norm and layer.axis in (-1, 3) and len(layer._inbound_nodes) == 1


def _fold(convolution, norm) -> list[np.ndarray]:
    """Return kernel and bias of a convolution that includes its batch normalisation."""
    value = keras.ops.convert_to_numpy
    scale = 1 / np.sqrt(value(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        scale = scale * value(norm.gamma)
    bias = value(convolution.bias) if convolution.use_bias else 0.0
    shift = value(norm.beta) if norm.center else 0.0
    return [value(convolution.kernel) * scale, (bias - value(norm.moving_mean)) * scale + shift]
