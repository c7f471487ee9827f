"""Warm-up requests: a server answers them before it takes a version into use.

They are PredictionLog messages of TensorFlow Serving. Its Python package would bring gRPC and a
TensorFlow of its own version for three nested messages, hence their few fields are encoded here;
a test reads them with the official definitions.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.serve.export.signatures import Signature

FILE = "tf_serving_warmup_requests"
_SIDE = 512
_SPACING_MM = 0.8
# field numbers: PredictionLog.predict_log, PredictLog.request, PredictRequest.model_spec and
# .inputs (a map: key, value), ModelSpec.name and .signature_name
_PREDICT_LOG, _REQUEST, _MODEL_SPEC, _INPUTS, _KEY, _VALUE = 6, 1, 1, 2, 1, 2
_NAME, _SIGNATURE_NAME = 1, 3


def write_warmup(
    folder: Path, name: str, signatures: list[Signature], network: NetworkSpec
) -> None:
    """Write one request for each signature.

    Args:
        folder: `assets.extra` of a version.
        name: of the model.
        signatures: of the model.
        network: what it takes.
    """
    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for signature in signatures:
            values = {spec.name: _value_of(spec, network) for spec in signature.inputs}
            writer.write(prediction_log(name, signature.name, values))


def prediction_log(name: str, signature: str, inputs: dict[str, np.ndarray]) -> bytes:
    """A PredictionLog of one predict request.

    Args:
        name: of the model.
        signature: that is asked.
        inputs: by name.
    """
    request = _field(
        _MODEL_SPEC, _field(_NAME, name.encode()) + _field(_SIGNATURE_NAME, signature.encode())
    )
    for key, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += _field(_INPUTS, _field(_KEY, key.encode()) + _field(_VALUE, tensor))
    return _field(_PREDICT_LOG, _field(_REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth bit says that more follow."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def _value_of(spec: tf.TensorSpec, network: NetworkSpec) -> np.ndarray:
    """One slice as scanners give it, of air."""
    if spec.name == "tiles":
        shape = network.padded(network.tiles.tile_shape or (_SIDE, _SIDE))
        return np.zeros((1, *shape, network.channels), np.float32)
    if spec.name == "slices":
        return np.full((1, _SIDE, _SIDE, network.context), -1024, np.int16)
    if spec.name == "image_bytes":
        image = tf.io.encode_png(tf.fill((_SIDE, _SIDE, 1), tf.constant(31744, tf.uint16)))
        return np.array([image.numpy()])
    values = {"spacing_mm": [[_SPACING_MM] * 2], "window": [[0.0, 1000.0]], "request": [b""]}
    return np.array(values[spec.name])
