"""Predictor for the ONNX files that `liverseg export` writes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.models.exported_model import ExportedModel
from liverseg_tf.printable import printable

_ONLY_FATAL = 4  # errors are raised as well, and need not appear on the terminal


class OnnxPredictor(ExportedModel):
    """A .onnx file, run on the CPU. It needs the extra `onnx`."""

    file_format = "an ONNX file"

    def _load(self, path: Path) -> tuple[int, int]:
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise LiverSegError(
                f"ONNX Runtime is needed to load {path}: pip install 'liverseg_tf[onnx]'."
            ) from error
        content = path.read_bytes()
        for received in _find_foreign_parts(onnx.load_model_from_string(content)):
            raise LiverSegError(
                f"Expected only standard operators and all weights in {path}. "
                f"Received {printable(received)}: export the model again from its run."
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ONLY_FATAL
        self._session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        (tiles,), (probabilities,) = self._session.get_inputs(), self._session.get_outputs()
        self._input_name = tiles.name
        return tiles.shape[-1], probabilities.shape[-1]

    def _compute(self, tiles: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self._input_name: tiles.astype(np.float32)})[0]


def _find_foreign_parts(model) -> Iterator[str]:
    """Yield what an exported network does not contain: other code, nested graphs, other files."""
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            yield f"the operator {node.op_type} of {node.domain}"
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                yield f"the operator {node.op_type} with a graph of its own"
    if model.functions:
        yield f"the function {model.functions[0].name}"
    tensors = [
        *model.graph.initializer,
        *(one.t for node in model.graph.node for one in node.attribute),
        *(sparse.values for sparse in model.graph.sparse_initializer),
    ]
    for tensor in tensors:
        if tensor.external_data or tensor.data_location == tensor.EXTERNAL:
            yield f"weights in another file ({tensor.name})"
