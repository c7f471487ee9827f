"""Initial weights from an earlier run."""

from pathlib import Path

import keras

from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.model.run_record import MODEL_FILE, RUN_FILE, RunRecord


def load_matching_weights(model: keras.Model, run: Path) -> list[str]:
    """Load the weights of all layers that have the same name and shapes in an earlier run.

    Args:
        model: Model to load the weights into.
        run: Folder of the earlier run.

    Returns:
        One line for each layer of `model` that has no counterpart and keeps its random weights.

    Raises:
        LiverSegError: If the run has no model, the model cannot be read or is not the one of its
            record, or no layer matches.
    """
    path = Path(run) / MODEL_FILE
    if (Path(run) / RUN_FILE).is_file() and path.is_file():
        RunRecord.read(run).check_model(run)
    try:
        earlier = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many classes for missing and broken files
        reason = first_line(error) if path.exists() else "no such file"
        raise LiverSegError(f"Expected a run's model at {path}. Received: {reason}") from error
    earlier_layers = {layer.name: layer for layer in earlier.layers if layer.weights}
    unmatched_layers, matched_count = [], 0
    for layer in model.layers:
        if not layer.weights:
            continue
        earlier_layer = earlier_layers.get(layer.name)
        shapes = _format_shapes(layer)
        earlier_shapes = None if earlier_layer is None else _format_shapes(earlier_layer)
        if earlier_layer is not None and shapes == earlier_shapes:
            layer.set_weights(earlier_layer.get_weights())
            matched_count += 1
        else:
            unmatched_layers.append(
                f"{layer.name}: {shapes} here, {earlier_shapes or 'no such layer'} in {run}"
            )
    if not matched_count:
        raise LiverSegError(
            f"No layer in {path} has the name and the shapes of a layer of this network: choose "
            "a run with the same architecture."
        )
    return unmatched_layers


def _format_shapes(layer) -> str:
    return " ".join("x".join(map(str, weight.shape)) or "1" for weight in layer.weights)
