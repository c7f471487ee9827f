"""Predictor for the ONNX files that `liverseg export` writes."""

from pathlib import Path

import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.models.exported_model import ExportedModel


class OnnxPredictor(ExportedModel):
    """A .onnx file, run on the CPU. It needs the extra `onnx`."""

    file_format = "an ONNX file"

    def _load(self, path: Path) -> tuple[int, int]:
        try:
            import onnxruntime
        except ImportError as error:
            raise LiverSegError(
                f"ONNX Runtime is needed to load {path}: pip install 'liverseg_tf[onnx]'."
            ) from error
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (tiles,), (probabilities,) = self._session.get_inputs(), self._session.get_outputs()
        self._input_name = tiles.name
        return tiles.shape[-1], probabilities.shape[-1]

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self._input_name: tiles.astype(np.float32)})[0]
