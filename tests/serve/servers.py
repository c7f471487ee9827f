"""Test servers with the protocols and the errors of TensorFlow Serving.

They serve SavedModels through the official messages and stubs. They do not have the limits and the
folder polling of the real server; its batching is in tests/support/serving_batches.py.
"""

import base64
import contextlib
import json
import socket
import sys
import threading
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

sys.path.append(str(Path(__file__).parents[1] / "support"))  # for a process of its own

from serving_batches import BatchingRefusal

HTTP_STATUS = {"INVALID_ARGUMENT": 400, "UNAUTHENTICATED": 401, "NOT_FOUND": 404}
HTTP_STATUS |= {"FAILED_PRECONDITION": 412}
HTTP_STATUS |= {"RESOURCE_EXHAUSTED": 429, "INTERNAL": 500, "UNAVAILABLE": 503}


class Refusal(Exception):
    """A status other than OK, with its name and a message."""


@dataclass
class Models:
    """The models of a server, and its behaviour.

    Args:
        folder: Folder with NAME/VERSION/saved_model.pb.
        served: Versions that are served. None serves the latest version only.
        before: Function that is called with the name and the inputs of a signature. It may raise
            a `Refusal` or take time.
        after: Function of the name and the outputs of a signature that returns the outputs.
        spoil: Function that may change the bytes of a response before they are sent.
        token: Token that clients must send.
        loaded: SavedModels by their folder; the others are loaded when they are first called.
        batching: `BatchingSession` that merges requests. None computes each request by itself.
    """

    folder: Path
    served: set[int] | None = None
    before: Callable = lambda signature, inputs: None
    after: Callable = lambda signature, outputs: outputs
    spoil: Callable = lambda data: data
    token: str | None = None
    batching: object | None = None
    tokens: list = field(default_factory=list)
    loaded: dict = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def versions(self, name: str) -> list[int]:
        versions = [int(p.name) for p in (self.folder / name).glob("[0-9]*") if p.name.isdigit()]
        if not versions:
            raise Refusal("NOT_FOUND", f"Could not find any versions of model {name}")
        return sorted(versions if self.served is None else self.served & set(versions))

    def choose(self, name: str, version: int | None) -> int:
        versions = self.versions(name)
        if version is None:
            return versions[-1]
        if version not in versions or (self.served is None and version != versions[-1]):
            raise Refusal(
                "NOT_FOUND", f"Servable not found for request: Specific({name}, {version})"
            )
        return version

    def signatures(self, name: str, version: int) -> dict:
        with self._lock:
            path = str(self.folder / name / str(version))
            if path not in self.loaded:
                self.loaded[path] = tf.saved_model.load(path)
            return self.loaded[path].signatures

    def signature(self, name: str, version: int, signature: str):
        signatures = self.signatures(name, version)
        if signature not in signatures:
            raise Refusal(
                "INVALID_ARGUMENT", f'Serving signature name: "{signature}" not found in signature'
            )
        return signatures[signature]

    def answer(self, name, version, signature, inputs) -> dict[str, np.ndarray]:
        """Compute the outputs of a signature."""
        function = self.signature(name, version, signature)
        self.before(signature, inputs)
        specs = function.structured_input_signature[1]
        if set(specs) != set(inputs):
            raise Refusal(
                "INVALID_ARGUMENT",
                f"input tensor alias not found in signature: {sorted(inputs)}. Inputs expected "
                f"to be in the set {sorted(specs)}.",
            )
        for key, spec in specs.items():
            if inputs[key].dtype != spec.dtype or not spec.shape.is_compatible_with(
                inputs[key].shape
            ):
                raise Refusal(
                    "INVALID_ARGUMENT",
                    f"input {key} must be {spec.dtype.name} of shape {spec.shape}, not "
                    f"{inputs[key].dtype.name} of shape {inputs[key].shape}",
                )
        outputs = self._compute((name, version, signature), inputs, function)
        return self.after(signature, outputs)

    def _compute(self, signature, inputs, function) -> dict[str, np.ndarray]:
        def compute(values):
            outputs = function(**{key: tf.constant(value) for key, value in values.items()})
            return {key: value.numpy() for key, value in outputs.items()}

        values = {key: value.numpy() for key, value in inputs.items()}
        try:
            if self.batching is None:
                return compute(values)
            return self.batching.run(signature, values, compute)
        except tf.errors.OpError as error:
            raise Refusal("INVALID_ARGUMENT", error.message) from error
        except BatchingRefusal as error:
            raise Refusal(*error.args) from error

    def check_token(self, authorization: str | None) -> None:
        self.tokens.append(authorization)
        if self.token is not None and authorization != f"Bearer {self.token}":
            raise Refusal("UNAUTHENTICATED", f"a wrong token: {authorization}")

    def status(self, name: str, version: int | None) -> get_model_status_pb2.GetModelStatusResponse:
        chosen = self.versions(name) if version is None else [self.choose(name, version)]
        response = get_model_status_pb2.GetModelStatusResponse()
        for one in sorted(chosen, reverse=True):
            state = response.model_version_status.add(version=one, state="AVAILABLE")
            state.status.error_code = 0
        return response

    def metadata(self, name: str, version: int | None):
        from tensorflow.core.protobuf import saved_model_pb2

        chosen = self.choose(name, version)
        file = self.folder / name / str(chosen) / "saved_model.pb"
        saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for key, value in saved.meta_graphs[0].signature_def.items():
            signatures.signature_def[key].CopyFrom(value)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name, response.model_spec.version.value = name, chosen
        response.metadata["signature_def"].Pack(signatures)
        return response


class GrpcServer:
    """A gRPC server on the loopback interface, started and stopped by `with`.

    Args:
        models: Models that it serves.
        port: Port number. 0 takes any free port.
        credentials: Credentials of the server, for TLS.
        largest: Maximum number of bytes of a message. -1 sets no limit.
    """

    def __init__(self, models: Models, port: int = 0, credentials=None, largest: int = -1):
        options = [("grpc.max_receive_message_length", largest)]
        options += [("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=options)
        predict = grpc.unary_unary_rpc_method_handler(
            _guarded(models, lambda request: _predict(models, request)),
            predict_pb2.PredictRequest.FromString,
            lambda message: models.spoil(message.SerializeToString()),
        )
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "tensorflow.serving.PredictionService", {"Predict": predict}
                ),
            )
        )
        # the official handlers for all methods except Predict, whose bytes may be changed; the
        # handlers that were added first take precedence
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            _Prediction(models), self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Model(models), self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        else:
            self.port = self._server.add_secure_port(f"127.0.0.1:{port}", credentials)

    def address(self, name="liver", scheme="grpc", host="127.0.0.1"):
        return f"{scheme}://{host}:{self.port}/{name}"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *exception):
        self.stop()

    def stop(self):
        self._server.stop(None).wait()


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models):
        self._models = models

    def GetModelMetadata(self, request, context):
        spec = request.model_spec
        return _guarded(
            self._models, lambda request: self._models.metadata(spec.name, _version(spec))
        )(request, context)


class _Model(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models):
        self._models = models

    def GetModelStatus(self, request, context):
        spec = request.model_spec
        return _guarded(
            self._models, lambda request: self._models.status(spec.name, _version(spec))
        )(request, context)


def _guarded(models, answer):
    def guarded(request, context):
        try:
            models.check_token(dict(context.invocation_metadata()).get("authorization"))
            return answer(request)
        except Refusal as refusal:
            code, message = refusal.args
            context.abort(grpc.StatusCode[code], message)

    return guarded


def _version(spec):
    return spec.version.value if spec.HasField("version") else None


def _predict(models, request):
    spec = request.model_spec
    version = models.choose(spec.name, _version(spec))
    signature = spec.signature_name or "serving_default"
    try:
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
    except (ValueError, TypeError) as error:
        raise Refusal("INVALID_ARGUMENT", str(error)) from error
    outputs = models.answer(spec.name, version, signature, inputs)
    unknown = set(request.output_filter) - set(outputs)
    if unknown and signature == "describe":
        raise Refusal("INVALID_ARGUMENT", f"output tensor alias not found in signature: {unknown}")
    response = predict_pb2.PredictResponse()
    response.model_spec.name, response.model_spec.version.value = spec.name, version
    response.model_spec.signature_name = signature
    for key, value in outputs.items():
        if value.dtype != np.float32:
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
            continue
        # the real server uses float_val; packed floats are their bytes, which is fast to write
        tensor = tf.make_tensor_proto(np.zeros((0,), np.float32), shape=(0,))
        tensor.Clear()
        tensor.dtype = 1
        for length in value.shape:
            tensor.tensor_shape.dim.add(size=length)
        data = value.astype("<f4").tobytes()
        tensor.MergeFromString(b"\x2a" + _varint(len(data)) + data)
        response.outputs[key].CopyFrom(tensor)
    return response


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


class RestServer:
    """A server for the JSON of TensorFlow Serving's REST API, started and stopped by `with`.

    Args:
        models: Models that it serves.
        port: Port number. 0 takes any free port.
        tls: SSL context of the server.
    """

    def __init__(self, models: Models, port: int = 0, tls=None):
        handler = type("Handler", (_Handler,), {"models": models})
        self._server = _HttpServer(("127.0.0.1", port), handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]

    def address(self, name="liver", scheme="rest", host="127.0.0.1"):
        return f"{scheme}://{host}:{self.port}/{name}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.stop()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._open = set()

    def process_request(self, request, client_address):
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self):
        """Close the connections that are kept open, as a server does when it stops."""
        for request in list(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self._serve(self._get)

    def do_POST(self):
        self._serve(self._post)

    def log_message(self, *arguments):
        pass

    def _serve(self, answer):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self.models.check_token(self.headers.get("Authorization"))
            status, value = 200, answer(body)
        except Refusal as refusal:
            code, message = refusal.args
            status, value = HTTP_STATUS[code], json.dumps({"error": message})
        data = self.models.spoil(value.encode())
        if data is None:  # the server stops while it sends a response
            self.close_connection = True
            return
        with contextlib.suppress(ConnectionError):  # the client has closed the connection
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def _parse_path(self):
        """Parse the path: name of the model, version and verb."""
        parts = self.path.split("/")
        if parts[:3] != ["", "v1", "models"] or len(parts) < 4:
            raise Refusal("INVALID_ARGUMENT", f"Malformed request: {self.command} {self.path}")
        last, _, verb = self.path.rpartition("/")[2].partition(":")
        name = parts[3].partition(":")[0]
        version = parts[5].partition(":")[0] if len(parts) > 5 and parts[4] == "versions" else None
        if last == "metadata":
            verb = "metadata"
        return name, version and int(version), verb

    def _get(self, body):
        name, version, verb = self._parse_path()
        if verb != "metadata":
            status = self.models.status(name, version)
            return json_format.MessageToJson(
                status, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
        return json_format.MessageToJson(
            self.models.metadata(name, version), preserving_proto_field_name=True
        )

    def _post(self, body):
        name, version, verb = self._parse_path()
        if verb != "predict":
            raise Refusal("INVALID_ARGUMENT", f"Malformed request: POST {self.path}")
        try:
            request = json.loads(body)
        except ValueError as error:
            raise Refusal("INVALID_ARGUMENT", f"JSON Parse error: {error}") from error
        if ("inputs" in request) == ("instances" in request):
            raise Refusal("INVALID_ARGUMENT", "Missing 'inputs' or 'instances' key")
        version = self.models.choose(name, version)
        signature = request.get("signature_name", "serving_default")
        specs = self.models.signature(name, version, signature).structured_input_signature[1]
        outputs = self.models.answer(name, version, signature, _inputs(request, specs))
        return _dumps(outputs, rows="instances" in request)


def _inputs(request, specs):
    given = request.get("inputs", request.get("instances"))
    if "instances" in request and given and isinstance(given[0], dict) and "b64" not in given[0]:
        given = {key: [one[key] for one in given] for key in given[0]}
    elif not (isinstance(given, dict) and "b64" not in given):
        given = dict.fromkeys(list(specs)[:1], given)
    inputs = {}
    for key, value in given.items():
        if key not in specs:
            raise Refusal("INVALID_ARGUMENT", f"JSON object: does not have named input: {key}")
        try:
            inputs[key] = tf.constant(_decoded(value), specs[key].dtype)
        except (ValueError, TypeError) as error:
            raise Refusal("INVALID_ARGUMENT", f"JSON Value: {str(error)[:80]}") from error
    return inputs


def _decoded(value):
    if isinstance(value, list):
        return [_decoded(one) for one in value] if value and not _plain(value) else value
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return value


def _plain(value):
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, int | float)


def _dumps(outputs, rows):
    """Write the outputs as JSON, with the shortest decimals that are read as the same float32."""
    values = {}
    for key, value in outputs.items():
        if value.dtype == object:
            flat = [
                {"b64": base64.b64encode(one).decode()} if key.endswith("_bytes") else one.decode()
                for one in value.ravel()
            ]
            values[key] = flat
        elif value.dtype == np.float32:
            # a float64 of the same decimals is written with them
            values[key] = value.astype("U").astype(np.float64).tolist()
        else:
            values[key] = value.tolist()
    if not rows:
        return json.dumps({"outputs": values if len(values) > 1 else next(iter(values.values()))})
    if len(values) == 1:
        return json.dumps({"predictions": next(iter(values.values()))})
    return json.dumps(
        {
            "predictions": [
                dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)
            ]
        }
    )


def main() -> None:
    """Serve FOLDER/NAME/VERSION/ by gRPC or REST in a separate process, until stdin is closed."""
    folder, protocol = sys.argv[1:]
    server = {"grpc": GrpcServer, "rest": RestServer}[protocol](Models(Path(folder)))
    with server:
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
