"""A LiteRT (TensorFlow Lite) file as `liverseg export` writes it, loaded to predict."""

import os
from pathlib import Path

import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.export_record import ExportRecord
from liverseg_tf.predict.models.saved_model import check_channels


class LiteRtPredictor:
    """A .tflite file, ready for batches of tiles.

    Its interpreter is that of ai-edge-litert, which needs no TensorFlow, or else TensorFlow's own.

    Args:
        path: of the file.
        threads: None takes all cores.

    Raises:
        LiverSegError: when it can't be loaded, or is not what its record says.
    """

    def __init__(self, path: Path, threads: int | None = None):
        record = ExportRecord.read(path)
        self.network, self.postprocessing = record.network, record.postprocessing
        self.fingerprint = record.fingerprint
        interpreter = _interpreter_class()
        try:
            content = Path(path).read_bytes()
            threads = threads or os.cpu_count() or 1
            self._interpreter = interpreter(model_content=content, num_threads=threads)
            (self._input,) = self._interpreter.get_input_details()
            (self._output,) = self._interpreter.get_output_details()
        except (ValueError, RuntimeError, OSError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise LiverSegError(
                f"Expected a LiteRT file at {path}. Received: {lines[0]}"
            ) from error
        channels = (one["shape_signature"][-1] for one in (self._input, self._output))
        check_channels(*map(int, channels), record)
        self._shape = None

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """(batch, h, w, channels) uint8 to (batch, h, w, regions) float32."""
        if tiles.shape != self._shape:  # an interpreter works on one shape at a time
            self._interpreter.resize_tensor_input(self._input["index"], tiles.shape)
            self._interpreter.allocate_tensors()
            self._shape = tiles.shape
        self._interpreter.set_tensor(self._input["index"], tiles.astype(np.float32))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"])


def _interpreter_class():
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf

        return tf.lite.Interpreter
    return Interpreter
