"""Requests by the official stubs and by plain HTTP, with the same model.

The tests follow the contract of TensorFlow Serving in its messages and its documentation. The
real server does not run.
"""

import json
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)


@pytest.fixture
def server(servers, models):
    with servers.GrpcServer(models) as server:
        yield server


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


def _request(inputs, signature="serving_default", name="liver"):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


TILES = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 1)).astype(np.float32)


def test_the_official_stub_predicts(channel, local):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = stub.Predict(_request({"tiles": TILES}))
    assert response.model_spec.version.value == 1
    found = tf.make_ndarray(response.outputs["probabilities"])
    np.testing.assert_allclose(found, local.probabilities(TILES), atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "options"),
    [
        ({"tiles": TILES.astype(np.float64)}, {}),
        ({"tiles": TILES.astype(np.uint8)}, {}),
        ({"tiles": TILES[0]}, {}),
        ({"tiles": np.concatenate([TILES, TILES], -1)}, {}),
        ({"slices": TILES}, {}),
        ({}, {}),
        ({"tiles": np.array([b"tiles"])}, {}),
        ({"tiles": TILES}, {"signature": "none"}),
        ({"tiles": TILES}, {"name": "none"}),
    ],
)
def test_malformed_requests_are_refused_with_a_message(channel, inputs, options):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    with pytest.raises(grpc.RpcError) as error:
        stub.Predict(_request(inputs, **options))
    code = "NOT_FOUND" if "name" in options else "INVALID_ARGUMENT"
    assert error.value.code().name == code
    assert error.value.details()


def test_metadata_names_signatures_inputs_and_outputs(channel):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "liver"
    response = stub.GetModelMetadata(request)
    assert response.model_spec.version.value == 1
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    default = signatures.signature_def["serving_default"]
    assert default.method_name == "tensorflow/serving/predict"
    tiles, probabilities = default.inputs["tiles"], default.outputs["probabilities"]
    assert (tiles.dtype, probabilities.dtype) == (1, 1)
    assert [dim.size for dim in tiles.tensor_shape.dim] == [-1, -1, -1, 1]


def test_status_tells_the_versions(channel):
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "liver"
    (state,) = stub.GetModelStatus(request).model_version_status
    assert (state.version, state.state) == (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE)
    request.model_spec.name = "none"
    with pytest.raises(grpc.RpcError) as error:
        stub.GetModelStatus(request)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.fixture
def http(servers, models):
    """A function that takes a path and JSON and returns the status and JSON."""
    with servers.RestServer(models) as server:

        def ask(path, value=None):
            data = (
                value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
            )
            url = f"http://127.0.0.1:{server.port}{path}"
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            try:
                with opener.open(urllib.request.Request(url, data)) as response:
                    return response.status, json.load(response)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

        yield ask


def test_rows_and_columns_give_the_same_over_http(http, local):
    wanted = local.probabilities(TILES)
    columns = {"inputs": {"tiles": TILES.astype(int).tolist()}}
    rows = {"instances": [{"tiles": one} for one in TILES.tolist()]}
    for path in ("/v1/models/liver:predict", "/v1/models/liver/versions/1:predict"):
        status, value = http(path, columns)
        assert status == 200
        np.testing.assert_allclose(value["outputs"], wanted, atol=1e-6)
        status, value = http(path, rows | {"signature_name": "serving_default"})
        assert status == 200
        np.testing.assert_allclose(value["predictions"], wanted, atol=1e-6)


def test_status_and_metadata_over_http(http):
    status, value = http("/v1/models/liver")
    assert status == 200
    (state,) = value["model_version_status"]
    assert (state["version"], state["state"]) == ("1", "AVAILABLE")
    status, value = http("/v1/models/liver/metadata")
    assert value["model_spec"]["version"] == "1"
    signatures = value["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "describe"} <= set(signatures)


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("/v1/models/liver:predict", b"{", 400),
        ("/v1/models/liver:predict", {}, 400),
        ("/v1/models/liver:predict", {"inputs": {"tiles": [[1, 2], [3]]}}, 400),
        ("/v1/models/liver:predict", {"inputs": {"tiles": "text"}}, 400),
        ("/v1/models/liver:predict", {"inputs": {"slices": TILES.tolist()}}, 400),
        ("/v1/models/liver:predict", {"inputs": {"tiles": TILES[0].tolist()}}, 400),
        ("/v1/models/liver:predict", {"signature_name": "x", "instances": [1]}, 400),
        ("/v1/models/liver:classify", {"instances": [1]}, 400),
        ("/v1/models/none:predict", {"instances": [1]}, 404),
        ("/v1/models/liver/versions/9:predict", {"instances": [1]}, 404),
        ("/v1/models/none", None, 404),
    ],
)
def test_malformed_requests_over_http_are_refused_with_a_message(http, path, value, code):
    status, response = http(path, value)
    assert status == code
    assert list(response) == ["error"]
    assert response["error"]
