"""Predictor for the LiteRT (TensorFlow Lite) files that `liverseg export` writes."""

import math
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count
from liverseg_tf.predict.models.exported_model import ExportedModel
from liverseg_tf.printable import printable


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
        content = path.read_bytes()
        interpreter_type, schema = _import_litert()
        model = schema.Model.GetRootAs(content)
        _check_operators(model, schema.BuiltinOperator.CUSTOM, path)
        _check_weights(model, schema.TensorType, path)
        self._interpreter = interpreter_type(model_content=content, num_threads=self._threads)
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()
        channels, regions = (int(end["shape_signature"][-1]) for end in (self._input, self._output))
        if channels == self.network.channels:
            # fails here, and not in the middle of a volume, if an operator is not available
            self._resize((1, *self.network.padded((1, 1)), channels))
        return channels, regions

    def _compute(self, tiles: np.ndarray) -> np.ndarray:
        self._resize(tiles.shape)
        self._interpreter.set_tensor(self._input["index"], tiles.astype(np.float32))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"])

    def _resize(self, shape: tuple[int, ...]) -> None:
        if shape != self._shape:  # the interpreter's tensors have a fixed shape
            self._shape = None
            self._interpreter.resize_tensor_input(self._input["index"], shape)
            self._interpreter.allocate_tensors()
            self._shape = shape


def _check_operators(model: Any, custom: int, path: Path) -> None:
    """Check that a file has only LiteRT's own operators, which read and write no files.

    Args:
        model: The model in the file.
        custom: Code of operators that are not LiteRT's own.
        path: Path of the file, for messages.

    Raises:
        LiverSegError: If there is another operator, such as TensorFlow's, or data in other files.
    """
    for index in range(model.OperatorCodesLength()):
        operator = model.OperatorCodes(index)
        name = operator.CustomCode()
        code = max(operator.BuiltinCode(), operator.DeprecatedBuiltinCode())
        if name is not None or code == custom:
            name = printable((name or b"without a name").decode(errors="backslashreplace"))
            raise LiverSegError(
                f"Expected only LiteRT's own operators in {path}. Received the operator {name}, "
                "which could read or write files: export the model again from its run."
            )
    if getattr(model, "ExternalBufferGroupsLength", int)():
        raise LiverSegError(
            f"Expected all weights in {path}. Received a reference to other files: export the "
            "model again from its run."
        )


def _check_weights(model: Any, types: Any, path: Path) -> None:
    """Check that the shapes of all weights fit their bytes; the interpreter would read beyond them.

    Args:
        model: The model in the file.
        types: Codes of the data types.
        path: Path of the file, for messages.

    Raises:
        LiverSegError: If the size of a tensor and of its bytes differ.
    """
    item_bytes = dict.fromkeys((types.FLOAT32, types.INT32, types.UINT32), 4)
    item_bytes |= dict.fromkeys((types.INT8, types.UINT8, types.BOOL), 1)
    item_bytes |= dict.fromkeys((types.FLOAT16, types.INT16, types.UINT16), 2)
    item_bytes |= dict.fromkeys((types.INT64, types.UINT64, types.FLOAT64), 8)
    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        for tensor in (graph.Tensors(index) for index in range(graph.TensorsLength())):
            is_known = tensor.Buffer() < model.BuffersLength() and tensor.Type() in item_bytes
            size = model.Buffers(tensor.Buffer()).DataLength() if is_known else 0
            shape = [tensor.Shape(axis) for axis in range(tensor.ShapeLength())]
            if not is_known or (size and size != math.prod(shape) * item_bytes[tensor.Type()]):
                raise LiverSegError(
                    f"Expected weights whose shapes fit their bytes in {path}. Received a tensor "
                    f"of shape {shape} with {count(size, 'byte')}: the file is damaged."
                )


def _import_litert() -> tuple[type, ModuleType]:
    """Import the interpreter, and the module that reads the contents of a file."""
    try:
        from ai_edge_litert import schema_py_generated
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf
        from tensorflow.lite.python import schema_py_generated

        return tf.lite.Interpreter, schema_py_generated
    return Interpreter, schema_py_generated
