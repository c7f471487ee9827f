"""Requests to TensorFlow Serving by gRPC. Needs the extra `client`."""

from pathlib import Path

import numpy as np

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.retry import RetryPolicy, Unavailable
from liverseg_tf.serve.client.address import Access, ServerAddress
from liverseg_tf.serve.client.transport import (
    MIXED_BATCH_HINT,
    ClientOptions,
    Request,
    Response,
    is_mixed_batch,
)

_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_MAX_RESPONSE_BYTES = 256 << 20  # gRPC's own limit is 4 MiB
_HINTS = {
    "RESOURCE_EXHAUSTED": " (too many requests, or too many slices in one request)",
    "UNAUTHENTICATED": " (set the token in LIVERSEG_TOKEN or in a file)",
    "PERMISSION_DENIED": " (set the token in LIVERSEG_TOKEN or in a file)",
}


class GrpcTransport:
    """A gRPC channel to one model.

    Args:
        address: Address of the model, with the scheme grpc or grpcs.
        access: Token and certificates.
        options: Timeouts.
        retry_policy: Backoff between attempts to connect.

    Raises:
        SettingsError: If gRPC is not installed, or a token would be sent without encryption.
        LiverSegError: If the file of certificates cannot be used.
    """

    def __init__(
        self,
        address: ServerAddress,
        access: Access,
        options: ClientOptions,
        retry_policy: RetryPolicy,
    ):
        access.check(address)
        try:
            import grpc
        except ImportError:
            raise SettingsError(
                "A grpc:// model needs gRPC: pip install 'liverseg_tf[client]'"
            ) from None
        self._grpc, self._address, self._access = grpc, address, access
        self._timeout_s = options.request_timeout_s
        connect_timeout_ms = int(1000 * options.connect_timeout_s)
        initial_backoff_ms = int(1000 * retry_policy.initial_backoff_s)
        max_backoff_ms = int(1000 * retry_policy.max_backoff_s)
        channel_options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", _MAX_RESPONSE_BYTES),
            # in spite of its name, this is the time limit of one attempt to connect
            ("grpc.min_reconnect_backoff_ms", connect_timeout_ms),
            ("grpc.initial_reconnect_backoff_ms", max(initial_backoff_ms, 100)),
            ("grpc.max_reconnect_backoff_ms", max(max_backoff_ms, 100)),
            ("grpc.enable_http_proxy", int(not address.is_loopback)),
        ]
        if address.secure:
            access.tls_context()  # reports an invalid file, which gRPC itself does not
            roots = access.tls_ca and Path(access.tls_ca).read_bytes()
            credentials = grpc.ssl_channel_credentials(roots)
            self._channel = grpc.secure_channel(address.authority, credentials, channel_options)
        else:
            self._channel = grpc.insecure_channel(address.authority, channel_options)
        # responses are parsed below, so that an invalid one is not reported as an error of gRPC
        self._predict = self._channel.unary_unary(_PREDICT, request_serializer=_to_bytes)

    def call(self, request: Request) -> Response:
        """Send a request once; see `Transport`."""
        message = _to_message(self._address.name, request)
        try:
            data = self._predict(
                message,
                timeout=self._timeout_s,
                metadata=tuple(self._access.headers().items()),
            )
        except self._grpc.RpcError as error:
            raise self._convert_error(error) from error
        except ValueError as error:  # from a closed channel
            raise LiverSegError(f"The connection to {self._address} is closed.") from error
        try:
            return _from_bytes(data, request.output)
        except ValueError as error:
            raise LiverSegError(
                f"Expected probabilities or a record from {self._address}. "
                f"Received {self._access.sanitise(error)}."
            ) from error

    def close(self) -> None:
        """Close the channel; requests in progress fail."""
        self._channel.close()

    def _convert_error(self, error) -> LiverSegError:
        code, details = error.code().name, self._access.sanitise(error.details() or "no reason")
        if code == "DEADLINE_EXCEEDED":
            details = f"no answer within {self._timeout_s:g} s"
        text = f"Expected an answer from {self._address}. Received {code}: {details}"
        if is_mixed_batch(code, details):
            return Unavailable(text + MIXED_BATCH_HINT)
        invalid_certificate = "CERTIFICATE_VERIFY_FAILED" in details
        # a server that stops cancels requests in progress; apart from it, only `close` does
        if code in ("UNAVAILABLE", "CANCELLED") and not invalid_certificate:
            return Unavailable(text)
        return LiverSegError(text + _HINTS.get(code, ""))


def _to_bytes(message) -> bytes:
    return message.SerializeToString()


def _to_message(model: str, request: Request):
    """Convert a request to a PredictRequest."""
    from liverseg_tf.serve.client.messages import PredictRequest, write_tensor

    message = PredictRequest()
    message.model_spec.name = model
    message.model_spec.signature_name = request.signature
    if request.version is not None:
        message.model_spec.version.value = request.version
    value = request.value
    if value.dtype == np.uint8:
        value = value.astype(np.float32)
    message.inputs[request.name].CopyFrom(write_tensor(value))
    message.output_filter.append(request.output)
    return message


def _from_bytes(data: bytes, output: str) -> Response:
    """Convert a serialised PredictResponse to a response."""
    from liverseg_tf.serve.client.messages import PredictResponse, read_message, read_tensor

    message = read_message(PredictResponse, data)
    if output not in message.outputs:
        raise ValueError(f"the outputs {', '.join(sorted(message.outputs))} without {output}")
    if not message.model_spec.HasField("version"):
        raise ValueError("no version of the model")
    value = read_tensor(message.outputs[output])
    return Response(value, message.model_spec.version.value)
