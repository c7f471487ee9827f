"""Warm-up requests, which a server answers before it takes a new version of a model into use.

TensorFlow Serving reads them from `assets.extra`, as PredictionLog messages in a TFRecord file.
The messages need protobuf, which TensorFlow always installs.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.serve.client.messages import PredictionLog
from liverseg_tf.serve.export.signatures import Signature

FILE = "tf_serving_warmup_requests"
_SIDE = 512  # pixels of an example slice
_SPACING_MM = 0.8


def write_warmup(
    folder: Path, name: str, signatures: list[Signature], network: NetworkSpec
) -> None:
    """Write one request for each signature.

    Args:
        folder: `assets.extra` in the folder of a version.
        name: Name of the model.
        signatures: Signatures of the model.
        network: Input and output of the model.
    """
    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for signature in signatures:
            inputs = {spec.name: _example_input(spec, network) for spec in signature.inputs}
            writer.write(build_prediction_log(name, signature.name, inputs))


def build_prediction_log(name: str, signature: str, inputs: dict[str, np.ndarray]) -> bytes:
    """Build the PredictionLog message of one predict request.

    Args:
        name: Name of the model.
        signature: Name of the signature.
        inputs: Arrays by the name of their input.
    """
    log = PredictionLog()
    request = log.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for key, value in inputs.items():
        request.inputs[key].ParseFromString(tf.make_tensor_proto(value).SerializeToString())
    return log.SerializeToString(deterministic=True)


def _example_input(spec: tf.TensorSpec, network: NetworkSpec) -> np.ndarray:
    """Return an input of one slice of air, in the size that scanners produce."""
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
