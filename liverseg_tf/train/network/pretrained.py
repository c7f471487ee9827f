"""Initial weights from an earlier run."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.model.run_record import MODEL_FILE, RUN_FILE, RunRecord


def load_matching_weights(model: keras.Model, run: Path, regions: Sequence[str] = ()) -> list[str]:
    """Load the weights of all layers that have the same name and shapes in an earlier run.

    If the regions differ, the output layer gets the weights of those with the same names.

    Args:
        model: Model to load the weights into.
        run: Folder of the earlier run.
        regions: Names of the regions of the model's outputs.

    Returns:
        One line for each layer of `model` that has no counterpart and keeps its random weights, at
        least for some of its channels.

    Raises:
        LiverSegError: If the run has no model, the model cannot be read or is not the one of its
            record, or no layer matches.
    """
    path = Path(run) / MODEL_FILE
    earlier_regions: tuple[str, ...] = ()
    if (Path(run) / RUN_FILE).is_file() and path.is_file():
        record = RunRecord.read(run)
        record.check_model(run)
        earlier_regions = record.network.regions.names
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
        elif layer.name == "logits" and _outputs_fit(layer, earlier_layer, earlier_regions):
            new = [name for name in regions if name not in earlier_regions]
            _copy_outputs(layer, regions, earlier_layer, earlier_regions)
            if new:
                unmatched_layers.append(f"logits: {', '.join(new)}, no such regions in {run}")
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


def _outputs_fit(layer, earlier, earlier_regions: Sequence[str]) -> bool:
    """Whether two output layers differ in their regions only."""
    if earlier is None or len(earlier.weights) != 2:
        return False
    (kernel, _), (earlier_kernel, bias) = layer.get_weights(), earlier.get_weights()
    if kernel.ndim != earlier_kernel.ndim:
        return False
    axis = _region_axis(layer)
    others = [np.delete(one.shape, axis).tolist() for one in (kernel, earlier_kernel)]
    return others[0] == others[1] and bias.shape == (len(earlier_regions),)


def _copy_outputs(layer, regions: Sequence[str], earlier, earlier_regions: Sequence[str]) -> None:
    """Copy the channels of the regions that both output layers have."""
    kernel, bias = map(np.array, layer.get_weights())
    earlier_kernel, earlier_bias = earlier.get_weights()
    axis = _region_axis(layer)
    # views whose first axis is that of the regions
    kernels = np.moveaxis(kernel, axis, 0), np.moveaxis(earlier_kernel, axis, 0)
    for channel, name in enumerate(regions):
        if name in earlier_regions:
            number = earlier_regions.index(name)
            kernels[0][channel], bias[channel] = kernels[1][number], earlier_bias[number]
    layer.set_weights([kernel, bias])


def _region_axis(layer) -> int:
    """Axis of the regions in the kernel of an output layer."""
    return 2 if isinstance(layer, keras.layers.Conv2DTranspose) else 3


def _format_shapes(layer) -> str:
    return " ".join("x".join(map(str, weight.shape)) or "1" for weight in layer.weights)
