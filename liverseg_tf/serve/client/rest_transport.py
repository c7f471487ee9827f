"""Questions to TensorFlow Serving by its REST API: JSON over HTTP, nothing to be installed."""

import contextlib
import http.client
import json
import socket
import threading
import time

import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.retry import RetryPolicy, Unavailable
from liverseg_tf.serve.client.address import Access, ServerAddress
from liverseg_tf.serve.client.transport import Request, Response

_SMALL = 1 << 20  # bytes of an answer beside its values
_BYTES_OF_A_VALUE = 32  # 0.123456789 with blanks and brackets
_CHUNK = 1 << 20
_STATES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RestTransport:
    """HTTP connections to one model, one for each thread that asks.

    Args:
        address: of the model, rest or rests.
        access: token and authorities.
        patience: with connections and answers.

    Raises:
        SettingsError: when a token would be sent in the clear.
        LiverSegError: when the file of authorities is none.
    """

    def __init__(self, address: ServerAddress, access: Access, retry_policy: RetryPolicy):
        access.check(address)
        self._address, self._access, self._patience = address, access, retry_policy
        self._tls = access.tls_context() if address.secure else None
        self._closed = False
        self._own = threading.local()
        self._connections: list[http.client.HTTPConnection] = []

    def ask(self, request: Request) -> Response:
        """One attempt; see `Transport`."""
        version = request.version
        if version is None:
            version = self._newest_version()
        value = request.value
        if value.dtype == object:
            value = np.array([one.decode("ascii") for one in value.ravel()]).reshape(value.shape)
        request = {
            "signature_name": request.signature,
            # integers are shorter than floats, and servers take them for floats
            "inputs": {request.name: value.tolist()},
        }
        path = f"/v1/models/{self._address.name}/versions/{version}:predict"
        body = json.dumps(request, separators=(",", ":")).encode()
        limit = _SMALL + _BYTES_OF_A_VALUE * request.most_values
        outputs = self._exchange("POST", path, body, limit).get("outputs")
        # a single output comes without its name
        if isinstance(outputs, dict):
            outputs = outputs.get(request.output)
        try:
            value = _array(outputs)
        except ValueError as error:
            raise self._refused(f"{error}") from error
        return Response(value, version)

    def close(self) -> None:
        """Hang up; questions that are under way fail."""
        self._closed = True
        for connection in self._connections:
            if connection.sock is not None:
                # wakes the thread that waits for an answer, which `close` doesn't
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _newest_version(self) -> int:
        status = self._exchange("GET", f"/v1/models/{self._address.name}", None, _SMALL)
        try:
            states = {
                int(one["version"]): str(one["state"]) for one in status["model_version_status"]
            }
        except (KeyError, TypeError, ValueError) as error:
            raise self._refused("no states of versions") from error
        ready = [version for version, state in states.items() if state == "AVAILABLE"]
        if not ready:
            told = ", ".join(f"{version} {state}" for version, state in sorted(states.items()))
            raise Unavailable(
                f"Expected a version of {self._address} that is available. "
                f"Received {self._access.tell(told) or 'none'}"
            )
        return max(ready)

    def _exchange(self, method: str, path: str, body: bytes | None, limit: int) -> dict:
        """The JSON object of an answer with status 200."""
        status, data = self._send(method, path, body, limit)
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        if status == 200 and isinstance(value, dict):
            return value
        if status == 200:
            raise self._refused(f"{len(data)} bytes that are no JSON object")
        reason = value.get("error") if isinstance(value, dict) else None
        name = _STATES.get(status, "status")
        text = f"{name} ({status}): {self._access.tell(reason or 'no reason')}"
        if status == 503:
            raise Unavailable(f"Expected an answer of {self._address}. Received {text}")
        raise self._refused(text)

    def _send(self, method: str, path: str, body: bytes | None, limit: int) -> tuple[int, bytes]:
        """Status and bytes of an answer."""
        connection, waits = self._connection(), "connection"
        try:
            if connection.sock is None:
                connection.connect()
            waits = "response"
            connection.sock.settimeout(self._patience.request_s)
            headers = {"Content-Type": "application/json", **self._access.headers()}
            connection.request(method, path, body, headers)
            with connection.getresponse() as response:
                return response.status, self._read(response, limit)
        except TimeoutError as error:
            connection.close()
            wait_s = self._patience.request_s if waits == "response" else self._patience.connect_s
            raise self._refused(f"DEADLINE_EXCEEDED: no {waits} within {wait_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if self._closed:
                raise self._refused("a closed connection") from error
            if verdict := getattr(error, "verify_message", None):
                raise self._refused(f"a certificate that isn't trusted: {verdict}") from error
            reason = self._access.tell(error) or type(error).__name__
            raise Unavailable(
                f"Expected an answer of {self._address}. Received UNAVAILABLE: {reason}"
            ) from error
        except LiverSegError:
            connection.close()
            raise

    def _read(self, response: http.client.HTTPResponse, limit: int) -> bytes:
        """A body, however slowly it comes, within the time for an answer."""
        ends, data = time.monotonic() + self._patience.request_s, bytearray()
        while response.length != 0 and (chunk := response.read1(_CHUNK)):
            data += chunk
            if len(data) > limit:
                raise self._refused(f"more than {limit} bytes")
            if time.monotonic() > ends:
                raise TimeoutError
        if response.length:
            raise http.client.IncompleteRead(bytes(data[:80]), response.length)
        return bytes(data)

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._own, "connection"):
            host, port, timeout = self._address.host, self._address.port, self._patience.connect_s
            if self._tls is not None:
                connection = http.client.HTTPSConnection(
                    host, port, timeout=timeout, context=self._tls
                )
            else:
                connection = http.client.HTTPConnection(host, port, timeout=timeout)
            self._own.connection = connection
            self._connections.append(connection)
        return self._own.connection

    def _refused(self, what: str) -> LiverSegError:
        return LiverSegError(
            f"Expected an answer of {self._address}. Received {self._access.tell(what)}"
        )


def _array(value: object) -> np.ndarray:
    """Numbers as float32, strings as bytes in objects.

    Raises:
        ValueError: when it is neither, or its lists are of several lengths.
    """
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        array = np.empty(len(value), object)
        array[:] = [one.encode() for one in value]
        return array
    try:
        array = np.array(value)
    except (ValueError, OverflowError) as error:
        raise ValueError("lists of several lengths") from error
    if array.dtype.kind not in "fiu":
        raise ValueError("something else than numbers")
    return array.astype(np.float32)
