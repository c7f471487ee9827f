"""An ONNX file as `liverseg export` writes it, loaded to predict."""

from pathlib import Path

import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.export_record import ExportRecord
from liverseg_tf.predict.models.saved_model import check_channels


class OnnxPredictor:
    """A .onnx file, ready for batches of tiles on the processor; needs the extra onnx.

    Args:
        path: of the file.

    Raises:
        LiverSegError: when it can't be loaded, or is not what its record says.
    """

    def __init__(self, path: Path):
        record = ExportRecord.read(path)
        self.network, self.postprocessing = record.network, record.postprocessing
        self.fingerprint = record.fingerprint
        try:
            import onnxruntime
        except ImportError as error:
            raise LiverSegError(
                "Expected onnxruntime for an ONNX file (pip install liverseg_tf[onnx]). "
                "Received none."
            ) from error
        try:
            self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no class in common
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise LiverSegError(f"Expected an ONNX file at {path}. Received: {lines[0]}") from error
        (given,), (found,) = self._session.get_inputs(), self._session.get_outputs()
        check_channels(given.shape[-1], found.shape[-1], record)
        self._name = given.name

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """(batch, h, w, channels) uint8 to (batch, h, w, regions) float32."""
        return self._session.run(None, {self._name: tiles.astype(np.float32)})[0]
