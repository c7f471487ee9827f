"""A trained run or an export of it, loaded to predict."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.run_record import MODEL_FILE, RunRecord
from liverseg_tf.model.spec import NetworkSpec


class RunPredictor:
    """A run's model, ready for batches of tiles; loading it imports Keras.

    On a GPU it works in mixed precision: half the memory, twice the speed, and probabilities in
    float32.

    Args:
        folder: of the run.
        precision: 'float32' or 'mixed_float16'; None takes what suits the machine.

    Raises:
        LiverSegError: when the run is incomplete, its model can't be read safely or has weights
            that are no numbers, or the model's channels are not those of its record.
    """

    def __init__(self, folder: Path, precision: str | None = None):
        record = RunRecord.read(folder)
        self.network, self.postprocessing = record.network, record.postprocessing
        path = Path(folder) / MODEL_FILE
        self._model = _load_model(path)
        self.fingerprint = _fingerprint(path, self.network)
        shapes = [getattr(self._model, f"{end}_shape", None) for end in ("input", "output")]
        wanted = (self.network.channels, len(self.network.regions))
        if not all(map(_is_slices, shapes, wanted)):
            raise LiverSegError(
                f"Expected a model of {wanted[0]} input channels and {wanted[1]} regions in "
                f"{folder}. Received one of shapes {shapes[0]} and {shapes[1]}."
            )
        if not all(np.isfinite(weights).all() for weights in self._model.get_weights()):
            raise LiverSegError(f"Expected finite weights in {path}. Received NaN or infinity.")
        if (precision or _best_precision()) != "float32":
            self._model = _in_mixed_precision(self._model)
        self._call = _compiled(self._model)

    @property
    def model(self):
        """The Keras model, for exports."""
        return self._model

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Probabilities of a batch, through one compiled function for all shapes.

        Args:
            tiles: (batch, h, w, channels) uint8; h and w are multiples of the stride.

        Returns:
            (batch, h, w, regions) float32.
        """
        return np.asarray(self._call(tiles))


def _is_slices(shape: object, channels: int) -> bool:
    """Whether it is (batch, h, w, channels); models of several inputs have a list of shapes."""
    return isinstance(shape, tuple) and len(shape) == 4 and shape[-1] == channels


def _load_model(path: Path):
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # what a broken file makes Keras raise has no end
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = lines[0]
        if not path.exists():
            reason = "no such file"
        elif not zipfile.is_zipfile(path):  # Keras says that it isn't there
            reason = "a truncated file, or another one"
        raise LiverSegError(f"Expected a Keras model at {path}. Received: {reason}") from error


def _compiled(model) -> Callable:
    """Tiles to probabilities; volumes of a hundred shapes cost one trace.

    A graph for any shape is as fast as one for each, and Keras' own function would be traced
    anew for a second and a third shape.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return model.predict_on_batch
    import tensorflow as tf

    tiles = tf.TensorSpec((None, None, None, model.input_shape[-1]), tf.uint8)
    return tf.function(lambda x: model(x, training=False), input_signature=[tiles], autograph=False)


def _fingerprint(path: Path, network: NetworkSpec) -> str:
    with open(path, "rb") as file:
        weights = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    spec = json.dumps(network.to_json(), sort_keys=True).encode()
    return f"{weights}-{hashlib.blake2b(spec, digest_size=4).hexdigest()}"


def _best_precision() -> str:
    import keras

    try:
        return "mixed_float16" if keras.distribution.list_devices("gpu") else "float32"
    except RuntimeError:  # JAX's word for no GPU
        return "float32"


def _in_mixed_precision(model):
    """The same weights, computing in float16 up to the logits, which stay float32."""
    import keras

    def clone(layer):
        config = layer.get_config()
        if layer.name not in ("logits", "probabilities"):
            config["dtype"] = "mixed_float16"
        return type(layer).from_config(config)

    mixed = keras.models.clone_model(model, clone_function=clone)
    mixed.set_weights(model.get_weights())
    return mixed
