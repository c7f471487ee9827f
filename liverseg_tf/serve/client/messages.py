"""The messages of TensorFlow Serving that the client and the warm-up need, without TensorFlow.

The modules of tensorflow-serving-api import TensorFlow (5 s and 0.6 GB). These messages have the
same names, field numbers and wire types as in tensorflow_serving/apis/{model,predict,
prediction_log}.proto and tensorflow/core/framework/{tensor,tensor_shape}.proto; enumerations are
int32, which has the same encoding. They are in a descriptor pool of their own, so that TensorFlow
can be imported as well.
"""

import math
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from liverseg_tf.plural import count

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
}
# package: message: fields as 'name number type'; [type] is a list, {type} a map with text keys
_MESSAGES = {
    "tensorflow": {
        "Dim": ("size 1 int64", "name 2 string"),
        "TensorShapeProto": ("dim 2 [tensorflow.Dim]", "unknown_rank 3 bool"),
        "TensorProto": (
            "dtype 1 int32",
            "tensor_shape 2 tensorflow.TensorShapeProto",
            "tensor_content 4 bytes",
            "float_val 5 [float]",
            "string_val 8 [bytes]",
        ),
    },
    "tensorflow.serving": {
        "Version": ("value 1 int64",),  # google.protobuf.Int64Value
        "ModelSpec": (
            "name 1 string",
            "version 2 tensorflow.serving.Version",
            "signature_name 3 string",
        ),
        "PredictRequest": (
            "model_spec 1 tensorflow.serving.ModelSpec",
            "inputs 2 {tensorflow.TensorProto}",
            "output_filter 3 [string]",
        ),
        "PredictResponse": (
            "outputs 1 {tensorflow.TensorProto}",
            "model_spec 2 tensorflow.serving.ModelSpec",
        ),
        "PredictLog": ("request 1 tensorflow.serving.PredictRequest",),
        "PredictionLog": ("predict_log 6 tensorflow.serving.PredictLog",),  # of the oneof log_type
    },
}
FLOAT, STRING = 1, 7  # tensorflow.DataType


def write_tensor(array: np.ndarray) -> Any:
    """Convert an array to a TensorProto.

    Args:
        array: float32, or an object array of bytes.
    """
    tensor = TensorProto()
    for length in array.shape:
        tensor.tensor_shape.dim.add().size = length
    if array.dtype == object:
        tensor.dtype = STRING
        tensor.string_val.extend(array.ravel())
    else:
        tensor.dtype = FLOAT
        tensor.tensor_content = array.astype("<f4", copy=False).tobytes()
    return tensor


def read_tensor(tensor: Any) -> np.ndarray:
    """Convert a TensorProto to an array.

    Returns:
        float32, or an object array of bytes.

    Raises:
        ValueError: If the tensor has another type, no shape, or a number of values that does not
            match its shape.
    """
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(length < 0 for length in shape):
        raise ValueError("a tensor without a shape")
    if tensor.dtype == STRING:
        values = np.empty(len(tensor.string_val), object)
        values[:] = list(tensor.string_val)
    elif tensor.dtype != FLOAT:
        raise ValueError(f"a tensor of type {tensor.dtype} instead of float32 (1) or string (7)")
    elif tensor.tensor_content:
        if len(tensor.tensor_content) % 4:
            raise ValueError(f"{count(len(tensor.tensor_content), 'byte')} of float32")
        values = np.frombuffer(tensor.tensor_content, "<f4").astype(np.float32, copy=False)
    else:
        values = np.asarray(tensor.float_val, np.float32)
    if len(values) != math.prod(shape):
        raise ValueError(f"{count(len(values), 'value')} in a tensor of shape {shape}")
    return values.reshape(shape)


def read_message(kind: Any, data: bytes) -> Any:
    """Read a message from its bytes.

    Args:
        kind: Class of the message.
        data: Serialised message.

    Raises:
        ValueError: If the bytes are not such a message.
    """
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise ValueError(f"{count(len(data), 'byte')} that are not a {kind.__name__}") from error


def _build() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    names: list[str] = []
    imported: list[str] = []
    for package, messages in _MESSAGES.items():
        file = descriptor_pb2.FileDescriptorProto(
            name=f"liverseg_tf/{package}.proto", package=package, syntax="proto3"
        )
        file.dependency.extend(imported)
        for name, fields in messages.items():
            message = file.message_type.add(name=name)
            for field in fields:
                _add_field(message, f"{package}.{name}", *field.split(" "))
            names.append(f"{package}.{name}")
        pool.AddSerializedFile(file.SerializeToString())
        imported.append(file.name)
    return {
        name.rpartition(".")[2]: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
        for name in names
    }


def _add_field(message, scope: str, name: str, number: str, kind: str) -> None:
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if kind[0] in "[{":
        field.label = _Field.LABEL_REPEATED
    if kind[0] == "{":  # a map is a list of entries with a key and a value
        entry = f"{name.title().replace('_', '')}Entry"
        nested = message.nested_type.add(name=entry)
        nested.options.map_entry = True
        _add_field(nested, scope, "key", "1", "string")
        _add_field(nested, scope, "value", "2", kind.strip("{}"))
        kind = f"{scope}.{entry}"
    kind = kind.strip("[]")
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{kind}"


_CLASSES = _build()
TensorProto = _CLASSES["TensorProto"]
PredictRequest = _CLASSES["PredictRequest"]
PredictResponse = _CLASSES["PredictResponse"]
PredictionLog = _CLASSES["PredictionLog"]
