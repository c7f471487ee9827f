"""The messages equal those of TensorFlow Serving, byte for byte."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.descriptor import FieldDescriptor
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from liverseg_tf.serve.client import messages

TYPES = {FieldDescriptor.TYPE_ENUM: FieldDescriptor.TYPE_INT32}  # encoded in the same way


def _check_fields(ours, official, seen=()):
    for field in ours.fields:
        other = official.fields_by_number[field.number]
        assert field.name == other.name
        assert field.type == TYPES.get(other.type, other.type), field.full_name
        assert field.is_repeated == other.is_repeated, field.full_name
        assert field.is_packed == other.is_packed, field.full_name
        if field.message_type is not None and field.message_type.full_name not in seen:
            nested = (*seen, field.message_type.full_name)
            _check_fields(field.message_type, other.message_type, nested)


@pytest.mark.parametrize(
    ("name", "official"),
    [
        ("PredictRequest", predict_pb2),
        ("PredictResponse", predict_pb2),
        ("PredictionLog", prediction_log_pb2),
    ],
)
def test_every_field_has_the_official_number_name_and_type(name, official):
    _check_fields(getattr(messages, name).DESCRIPTOR, getattr(official, name).DESCRIPTOR)


def test_a_request_equals_the_official_message():
    tiles = np.random.default_rng(0).random((2, 3, 4, 1), np.float32)
    official, ours = predict_pb2.PredictRequest(), messages.PredictRequest()
    for request in (official, ours):
        request.model_spec.name, request.model_spec.signature_name = "liver", "serving_default"
        request.model_spec.version.value = 7
        request.output_filter.append("probabilities")
    official.inputs["tiles"].CopyFrom(tf.make_tensor_proto(tiles))
    ours.inputs["tiles"].CopyFrom(messages.write_tensor(tiles))
    data = ours.SerializeToString(deterministic=True)
    assert data == official.SerializeToString(deterministic=True)
    assert messages.PredictRequest.FromString(data) == ours


def test_text_is_encoded_as_in_the_official_message():
    values = np.array([b"", b"\x00\xff", b"abc"], object)
    ours = messages.write_tensor(values)
    official = tf.make_tensor_proto(values, tf.string)
    assert ours.SerializeToString() == official.SerializeToString()
    assert list(messages.read_tensor(ours)) == list(values)


@pytest.mark.parametrize("shape", [(2, 3, 4, 1), (1, 1), (0, 4), ()])
def test_both_forms_of_an_official_response_are_read(shape):
    values = np.random.default_rng(1).random(shape, np.float32)
    content = tf.make_tensor_proto(values)
    listed = tensor_pb2.TensorProto(
        dtype=1, tensor_shape=content.tensor_shape, float_val=values.ravel()
    )
    for official in (content, listed):
        response = predict_pb2.PredictResponse()
        response.outputs["probabilities"].CopyFrom(official)
        ours = messages.read_message(messages.PredictResponse, response.SerializeToString())
        read = messages.read_tensor(ours.outputs["probabilities"])
        assert read.dtype == np.float32
        if shape:  # make_tensor_proto writes a scalar into the list
            np.testing.assert_array_equal(read, values)


def _official(**fields):
    shape = tf.TensorShape(fields.pop("shape")).as_proto()
    return tensor_pb2.TensorProto(tensor_shape=shape, **fields)


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (_official(dtype=1, shape=(2, 2), float_val=[1, 2, 3]), "3 values in a tensor"),
        (_official(dtype=1, shape=(2,), tensor_content=b"1234567"), "7 bytes of float32"),
        (_official(dtype=1, shape=(1 << 40, 1 << 40)), "0 values in a tensor"),
        (_official(dtype=5, shape=(2,), int_val=[1, 2]), "type 5"),
        (_official(dtype=7, shape=(2,), string_val=[b"a"]), "1 value in"),
        (_official(dtype=1, shape=None), "without a shape"),
        (_official(dtype=1, shape=(None, 2)), "without a shape"),
    ],
)
def test_invalid_tensors_are_refused(tensor, says):
    ours = messages.TensorProto.FromString(tensor.SerializeToString())
    with pytest.raises(ValueError, match=says):
        messages.read_tensor(ours)


def test_invalid_bytes_are_refused():
    with pytest.raises(ValueError, match="9 bytes that are not a PredictResponse"):
        messages.read_message(messages.PredictResponse, b"\xff" * 9)
