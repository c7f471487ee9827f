"""Predictor for the LiteRT (TensorFlow Lite) files that `liverseg export` writes."""

import os
from pathlib import Path

import numpy as np

from liverseg_tf.predict.models.exported_model import ExportedModel


class LiteRtPredictor(ExportedModel):
    """A .tflite file.

    It uses the interpreter of ai-edge-litert, which does not need TensorFlow, or else that of
    TensorFlow.

    Args:
        path: Path of the file.
        threads: Number of threads. None uses all cores.
    """

    file_format = "a LiteRT file"

    def __init__(self, path: Path, threads: int | None = None):
        self._threads = threads or os.cpu_count() or 1
        self._shape: tuple[int, ...] | None = None
        super().__init__(path)

    def _load(self, path: Path) -> tuple[int, int]:
        self._interpreter = _import_interpreter()(
            model_content=path.read_bytes(), num_threads=self._threads
        )
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()
        channels, regions = (int(end["shape_signature"][-1]) for end in (self._input, self._output))
        return channels, regions

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        if tiles.shape != self._shape:  # the interpreter's tensors have a fixed shape
            self._interpreter.resize_tensor_input(self._input["index"], tiles.shape)
            self._interpreter.allocate_tensors()
            self._shape = tiles.shape
        self._interpreter.set_tensor(self._input["index"], tiles.astype(np.float32))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"])


def _import_interpreter() -> type:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf

        return tf.lite.Interpreter
    return Interpreter
