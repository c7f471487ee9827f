"""Weights of an earlier run as the start of another one."""

from pathlib import Path

import keras

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.run_record import MODEL_FILE


def load_matching_weights(model: keras.Model, run: Path) -> list[str]:
    """Take over the weights of layers that have the same name and shapes in an earlier run.

    Args:
        model: that is going to learn.
        run: folder of the earlier run.

    Returns:
        What doesn't fit, a line for each layer of `model` that keeps its random weights.

    Raises:
        LiverSegError: when there is no model, it can't be read, or no layer fits.
    """
    path = Path(run) / MODEL_FILE
    try:
        earlier = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # what a missing or broken file makes Keras raise has no end
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = reason if path.exists() else "no such file"
        raise LiverSegError(f"Expected a run's model at {path}. Received: {reason}") from error
    there = {layer.name: layer for layer in earlier.layers if layer.weights}
    unmatched_layers, fitting = [], 0
    for layer in model.layers:
        if not layer.weights:
            continue
        mine, other = _shapes(layer), _shapes(there[layer.name]) if layer.name in there else None
        if mine == other:
            layer.set_weights(there[layer.name].get_weights())
            fitting += 1
        else:
            found = "none of that name" if other is None else f"{other}"
            unmatched_layers.append(f"{layer.name}: {mine} here, {found} in {run}")
    if not fitting:
        raise LiverSegError(f"Expected layers of this network in {path}. Received none that fits.")
    return unmatched_layers


def _shapes(layer) -> str:
    return " ".join("x".join(map(str, weight.shape)) or "1" for weight in layer.weights)
