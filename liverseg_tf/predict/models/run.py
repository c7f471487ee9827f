"""Predictor for trained runs."""

import hashlib
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.model.custom_code import CodeOrigin
from liverseg_tf.model.precision import Device, choose_prediction_precision
from liverseg_tf.model.run_record import MODEL_FILE, RunRecord
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.plural import count
from liverseg_tf.predict.models.probabilities import check_probabilities
from liverseg_tf.printable import printable


class RunPredictor:
    """The model of a run. Loading it imports Keras.

    It computes in the precision of its training if a GPU has it, and otherwise in float32. Half
    precision halves the memory and doubles the speed. The probabilities are float32.

    Args:
        folder: Folder of the run.
        precision: One of `choices.PRECISIONS`. None chooses it for the device; see
            `choose_prediction_precision`.

    Attributes:
        name: Name of the folder.
        precision: Precision of the computation.
        trust: When not to trust its masks.
        training_range: What its training cases were like.
        warnings: What must be known before the model is used, one line each.

    Raises:
        LiverSegError: If the run is incomplete, its model cannot be loaded safely or is not the
            one of its record, its weights are not finite, or its channels do not match its record.
    """

    def __init__(self, folder: Path, precision: str | None = None):
        record = RunRecord.read(folder)
        self.network, self.postprocessing = record.network, record.postprocessing
        self.warnings, self.name = record.warnings(folder), Path(folder).resolve().name
        self.trust, self.training_range = record.trust, record.training_range
        path = Path(folder) / MODEL_FILE
        checksum = record.check_model(folder)
        self._model = _load_model(path, record.custom.get("model"))
        self.fingerprint = _compute_fingerprint(checksum, self.network)
        if not record.finished:  # its masks, and the warning with them, are outdated at its end
            self.fingerprint += "-unfinished"
        shapes = [getattr(self._model, f"{end}_shape", None) for end in ("input", "output")]
        channels = (self.network.channels, len(self.network.regions))
        if not all(map(_has_channels, shapes, channels)):
            raise LiverSegError(
                f"Expected a model with {channels[0]} input and "
                f"{count(channels[1], 'output channel')} in {folder}. "
                f"Received shapes {' and '.join(map(_format_shape, shapes))}."
            )
        if not all(np.isfinite(weights).all() for weights in self._model.get_weights()):
            raise LiverSegError(f"Expected finite weights in {path}. Received NaN or infinity.")
        self.precision = precision or choose_prediction_precision(record.precision, _find_device())
        if self.precision != "float32":
            from liverseg_tf.predict.models.half_precision import to_half_precision

            self._model = to_half_precision(self._model, self.precision)
        self._predict = _compile(self._model)

    @property
    def model(self):
        """The Keras model, for exports."""
        return self._model

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Predict a batch with one compiled function for all shapes.

        Args:
            tiles: (batch, h, w, channels) uint8; h and w are multiples of the stride.

        Returns:
            (batch, h, w, regions) float32.

        Raises:
            LiverSegError: If half precision overflows.
        """
        values = np.asarray(self._predict(tiles))
        if self.precision != "float32":  # the weights are finite, the features may not be
            source = f"the run {self.name} in {self.precision}"
            check_probabilities(values, (*tiles.shape[:3], len(self.network.regions)), source)
        return values


def _has_channels(shape: object, channels: int) -> bool:
    """Whether a shape is (batch, h, w, channels). Models with several inputs have a list."""
    return isinstance(shape, tuple) and len(shape) == 4 and shape[-1] == channels


def _format_shape(shape: object) -> str:
    if not isinstance(shape, tuple):
        return "unknown" if shape is None else "of several tensors"
    return " x ".join("?" if length is None else str(length) for length in shape)


def _load_model(path: Path, author_model: CodeOrigin | None):
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises errors of many classes for broken files
        unknown = re.search(r"Could not locate (?:class|function) '([^']*)'", str(error))
        if unknown:
            origin = "" if author_model is None else f", part of {author_model}"
            raise LiverSegError(
                f"Expected a model of Keras' own layers at {path}. Received one that needs "
                f"{printable(unknown[1])}{origin}: code is never imported from a run, so import it "
                "in Python and hand it over with load_model(run, custom_objects=...)."
            ) from error
        reason = first_line(error)
        if not zipfile.is_zipfile(path):  # Keras would report that the file does not exist
            reason = "a truncated file, or one of another format"
        raise LiverSegError(f"Expected a Keras model at {path}. Received: {reason}") from error


def _compile(model) -> Callable:
    """Compile a model to one function from tiles to probabilities.

    A graph for all shapes is as fast as one graph per shape. Keras' own function would be traced
    again for the second and the third shape.
    """
    import keras

    if keras.backend.backend() == "torch":
        from liverseg_tf.model.torch_layers import with_torch_layers

        return with_torch_layers(model).predict_on_batch
    if keras.backend.backend() != "tensorflow":
        return model.predict_on_batch
    import tensorflow as tf

    tiles = tf.TensorSpec((None, None, None, model.input_shape[-1]), tf.uint8)
    return tf.function(lambda x: model(x, training=False), input_signature=[tiles], autograph=False)


def _compute_fingerprint(checksum: str, network: NetworkSpec) -> str:
    spec = json.dumps(network.to_json(), sort_keys=True).encode()
    return f"{checksum}-{hashlib.blake2b(spec, digest_size=4).hexdigest()}"


def _find_device() -> Device:
    """Return the device that predicts."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        has_gpu = torch.cuda.is_available()
        return Device(True, torch.cuda.get_device_capability()) if has_gpu else Device()
    try:
        if not keras.distribution.list_devices("gpu"):
            return Device()
    except RuntimeError:  # JAX raises it if there is no GPU
        return Device()
    if keras.backend.backend() != "tensorflow":
        return Device(is_gpu=True)
    import tensorflow as tf

    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    capabilities = [known.get("compute_capability") for known in details]
    return Device(True, min((known for known in capabilities if known), default=None))
