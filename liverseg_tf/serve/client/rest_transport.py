"""Requests to TensorFlow Serving by its REST API: JSON over HTTP, without further packages."""

import contextlib
import http.client
import json
import socket
import threading

import numpy as np

from liverseg_tf.deadline import time_limit
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count
from liverseg_tf.retry import Unavailable
from liverseg_tf.serve.client.address import Access, ServerAddress
from liverseg_tf.serve.client.transport import (
    MIXED_BATCH_HINT,
    ClientOptions,
    Request,
    Response,
    is_mixed_batch,
)

_MAX_OVERHEAD_BYTES = 1 << 20  # of a response without its values
_BYTES_PER_VALUE = 32  # 0.123456789 with spaces and brackets
_BYTES_PER_ITEM = 8  # a quarter of the bytes per value: values stand in lists
_CHUNK = 1 << 20
_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RestTransport:
    """HTTP connections to one model, one for each calling thread.

    Args:
        address: Address of the model, with the scheme rest or rests.
        access: Token and certificates.
        options: Timeouts.

    Raises:
        SettingsError: If a token would be sent without encryption.
        LiverSegError: If the file of certificates cannot be used.
    """

    def __init__(self, address: ServerAddress, access: Access, options: ClientOptions):
        access.check(address)
        self._address, self._access, self._options = address, access, options
        self._tls = access.tls_context() if address.secure else None
        self._closed = False
        self._thread = threading.local()
        self._connections: list[http.client.HTTPConnection] = []

    def call(self, request: Request) -> Response:
        """Send a request once; see `Transport`."""
        version = request.version
        if version is None:
            version = self._newest_version()
        value = request.value
        if value.dtype == object:
            value = np.array([one.decode("ascii") for one in value.ravel()]).reshape(value.shape)
        message = {
            "signature_name": request.signature,
            # integers are shorter than floats, and servers convert them
            "inputs": {request.name: value.tolist()},
        }
        path = f"/v1/models/{self._address.name}/versions/{version}:predict"
        body = json.dumps(message, separators=(",", ":")).encode()
        limit = _MAX_OVERHEAD_BYTES + _BYTES_PER_VALUE * request.max_values
        outputs = self._exchange("POST", path, body, limit).get("outputs")
        # servers leave out the name of a single output
        if isinstance(outputs, dict):
            outputs = outputs.get(request.output)
        try:
            return Response(_to_array(outputs), version)
        except ValueError as error:
            raise self._error(f"{error}") from error

    def close(self) -> None:
        """Close all connections; requests in progress fail."""
        self._closed = True
        for connection in self._connections:
            if connection.sock is not None:
                # wakes the thread that waits for a response, which closing does not
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _newest_version(self) -> int:
        path = f"/v1/models/{self._address.name}"
        status = self._exchange("GET", path, None, _MAX_OVERHEAD_BYTES)
        try:
            states = {
                int(one["version"]): str(one["state"]) for one in status["model_version_status"]
            }
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._error("no states of versions") from error
        available = [version for version, state in states.items() if state == "AVAILABLE"]
        if not available:
            listed = ", ".join(f"{version} {state}" for version, state in sorted(states.items()))
            raise Unavailable(
                f"Expected an available version of {self._address}. "
                f"Received {self._access.sanitise(listed) or 'an empty list of versions'}"
            )
        return max(available)

    def _exchange(self, method: str, path: str, body: bytes | None, limit: int) -> dict:
        """Return the JSON object of a response with status 200."""
        status, data = self._send(method, path, body, limit)
        if sum(map(data.count, (b"[", b"{", b","))) > limit // _BYTES_PER_ITEM:
            # millions of empty lists in a few megabytes would become gigabytes
            raise self._error("more lists and values than it was asked for")
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        if status == 200 and isinstance(value, dict):
            return value
        if status == 200:
            raise self._error(f"{count(len(data), 'byte')} that are not a JSON object")
        reason = value.get("error") if isinstance(value, dict) else None
        name = _STATUS_NAMES.get(status, "status")
        text = f"{name} ({status}): {self._access.sanitise(reason or 'no reason')}"
        text_of_error = f"Expected an answer from {self._address}. Received {text}"
        if is_mixed_batch(name, text):
            raise Unavailable(text_of_error + MIXED_BATCH_HINT)
        if status == 503:
            raise Unavailable(text_of_error)
        raise self._error(text)

    def _send(self, method: str, path: str, body: bytes | None, limit: int) -> tuple[int, bytes]:
        """Return status and body of a response."""
        connection, options = self._connection(), self._options
        missing, timeout_s = "connection", options.connect_timeout_s
        try:
            if connection.sock is None:
                with time_limit(timeout_s, lambda: connection.sock):
                    connection.connect()
            opened = connection.sock  # a response without a length takes it from the connection
            missing, timeout_s = "answer", options.request_timeout_s
            opened.settimeout(timeout_s)
            headers = {"Content-Type": "application/json", **self._access.headers()}
            with time_limit(timeout_s, lambda: opened):
                connection.request(method, path, body, headers)
                with connection.getresponse() as response:
                    return response.status, self._read(response, limit)
        except TimeoutError as error:
            connection.close()
            raise self._error(f"DEADLINE_EXCEEDED: no {missing} within {timeout_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if self._closed:
                raise self._error("a closed connection") from error
            if reason := getattr(error, "verify_message", None):
                raise self._error(f"a certificate that is not trusted: {reason}") from error
            reason = self._access.sanitise(error) or type(error).__name__
            raise Unavailable(
                f"Expected an answer from {self._address}. Received UNAVAILABLE: {reason}"
            ) from error
        except LiverSegError:
            connection.close()
            raise

    def _read(self, response: http.client.HTTPResponse, limit: int) -> bytes:
        """Read a body of at most `limit` bytes."""
        data = bytearray()
        while response.length != 0 and (chunk := response.read1(_CHUNK)):
            data += chunk
            if len(data) > limit:
                raise self._error(f"more than {limit} bytes")
        if response.length:
            raise http.client.IncompleteRead(bytes(data[:80]), response.length)
        return bytes(data)

    def _connection(self) -> http.client.HTTPConnection:
        """Return the connection of the calling thread."""
        if not hasattr(self._thread, "connection"):
            host, port = self._address.host, self._address.port
            timeout = self._options.connect_timeout_s
            if self._tls is None:
                connection = http.client.HTTPConnection(host, port, timeout=timeout)
            else:
                connection = http.client.HTTPSConnection(
                    host, port, timeout=timeout, context=self._tls
                )
            self._thread.connection = connection
            self._connections.append(connection)
        return self._thread.connection

    def _error(self, received: str) -> LiverSegError:
        return LiverSegError(
            f"Expected an answer from {self._address}. Received {self._access.sanitise(received)}"
        )


def _to_array(value: object) -> np.ndarray:
    """Convert a JSON value: numbers to float32, a list of strings to bytes in an object array.

    Raises:
        ValueError: If the value holds something else, or lists of different lengths.
    """
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        array = np.empty(len(value), object)
        array[:] = [one.encode() for one in value]
        return array
    try:
        array = np.array(value)
    except (ValueError, OverflowError) as error:
        raise ValueError("lists of different lengths") from error
    if array.dtype.kind not in "fiu":
        raise ValueError("values that are not numbers")
    return array.astype(np.float32)
