"""Questions to TensorFlow Serving by gRPC; needs the extra `client`."""

from pathlib import Path

import numpy as np

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.retry import RetryPolicy, Unavailable
from liverseg_tf.serve.client.address import Access, ServerAddress
from liverseg_tf.serve.client.transport import Request, Response

_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_LARGEST_ANSWER = 256 << 20  # bytes; gRPC's own limit is 4 MiB
_HINTS = {
    "RESOURCE_EXHAUSTED": " (too many requests, or too many slices in one)",
    "UNAUTHENTICATED": " (a token goes into LIVERSEG_TOKEN or a file)",
    "PERMISSION_DENIED": " (a token goes into LIVERSEG_TOKEN or a file)",
}


class GrpcTransport:
    """A gRPC channel to one model.

    Args:
        address: of the model, grpc or grpcs.
        access: token and authorities.
        patience: with connections and answers.

    Raises:
        SettingsError: when gRPC is not installed, or a token would be sent in the clear.
        LiverSegError: when the file of authorities is none.
    """

    def __init__(self, address: ServerAddress, access: Access, retry_policy: RetryPolicy):
        access.check(address)
        try:
            import grpc
        except ImportError:
            raise SettingsError(
                "Expected gRPC for a grpc:// model. Received none: "
                "pip install 'liverseg_tf[client]'"
            ) from None
        self._grpc, self._address, self._access = grpc, address, access
        self._patience = retry_policy
        longest_ms = int(1000 * retry_policy.longest_wait_s)
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", _LARGEST_ANSWER),
            ("grpc.min_reconnect_backoff_ms", int(1000 * retry_policy.connect_s)),  # of one attempt
            ("grpc.initial_reconnect_backoff_ms", max(int(1000 * retry_policy.wait_s), 100)),
            ("grpc.max_reconnect_backoff_ms", max(longest_ms, 100)),
            ("grpc.enable_http_proxy", int(not address.is_here)),
        ]
        if address.secure:
            access.tls_context()  # gRPC itself doesn't say what is wrong with a file
            roots = access.tls_ca and Path(access.tls_ca).read_bytes()
            credentials = grpc.ssl_channel_credentials(roots)
            self._channel = grpc.secure_channel(address.authority, credentials, options)
        else:
            self._channel = grpc.insecure_channel(address.authority, options)
        # answers are parsed here: what is wrong with one is no fault of gRPC's
        self._call = self._channel.unary_unary(_PREDICT, request_serializer=_to_bytes)

    def ask(self, request: Request) -> Response:
        """One attempt; see `Transport`."""
        request = _request(self._address.name, request)
        try:
            data = self._call(
                request,
                timeout=self._patience.request_s,
                metadata=tuple(self._access.headers().items()),
            )
        except self._grpc.RpcError as error:
            raise self._explained(error) from error
        except ValueError as error:  # what a closed channel says
            raise LiverSegError(f"Expected an open connection to {self._address}.") from error
        try:
            return _answer(data, request)
        except ValueError as error:
            raise LiverSegError(
                f"Expected probabilities or a record of {self._address}. "
                f"Received {self._access.tell(error)}."
            ) from error

    def close(self) -> None:
        """Hang up; questions that are under way fail."""
        self._channel.close()

    def _explained(self, error) -> Exception:
        code, details = error.code().name, self._access.tell(error.details() or "no reason")
        if code == "DEADLINE_EXCEEDED":
            details = f"no answer within {self._patience.request_s:g} s"
        text = f"Expected an answer of {self._address}. Received {code}: {details}"
        certificate = "CERTIFICATE_VERIFY_FAILED" in details
        # a server that stops cancels what is under way; nobody else does, but `close`
        if code in ("UNAVAILABLE", "CANCELLED") and not certificate:
            return Unavailable(text)
        return LiverSegError(text + _HINTS.get(code, ""))


def _to_bytes(message) -> bytes:
    return message.SerializeToString()


def _request(model: str, request: Request):
    from liverseg_tf.serve.client.messages import PredictRequest, write_tensor

    request = PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = request.signature
    if request.version is not None:
        request.model_spec.version.value = request.version
    value = request.value
    if value.dtype == np.uint8:
        value = value.astype(np.float32)
    request.inputs[request.name].CopyFrom(write_tensor(value))
    request.output_filter.append(request.output)
    return request


def _answer(data: bytes, request: Request) -> Response:
    from liverseg_tf.serve.client.messages import PredictResponse, read_message, read_tensor

    response = read_message(PredictResponse, data)
    if request.output not in response.outputs:
        raise ValueError(f"no output {request.output} but {sorted(response.outputs)}")
    if not response.model_spec.HasField("version"):
        raise ValueError("no version of the model")
    value = read_tensor(response.outputs[request.output])
    return Response(value, response.model_spec.version.value)
