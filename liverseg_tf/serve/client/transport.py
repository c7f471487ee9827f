"""Requests to a model server and responses, independent of the protocol."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

MIXED_BATCH_HINT = (
    " (the server merges requests of clients whose tiles differ in size: start it without "
    "--enable_batching)"
)


def is_mixed_batch(code: str, details: str) -> bool:
    """Whether a request failed only because of the requests that the server merged it with.

    With --enable_batching, TensorFlow Serving merges the requests of all clients, and refuses all
    of them if the shapes of their tiles differ. Each of them may succeed when it is sent again.

    Args:
        code: Name of the status.
        details: Message of the server.
    """
    return code == "FAILED_PRECONDITION" and "different shapes" in details


@dataclass(frozen=True)
class ClientOptions:
    """How requests are sent.

    Args:
        slices: Number of slices in one request.
        concurrency: Number of requests at the same time.
        connect_timeout_s: Time limit for the first contact, and for each connection.
        request_timeout_s: Time limit for the response to one request.
    """

    slices: int = 4
    concurrency: int = 4
    connect_timeout_s: float = 10.0
    request_timeout_s: float = 60.0


@dataclass(frozen=True)
class Request:
    """A call of one signature of a model.

    Args:
        signature: Name of the signature.
        name: Name of its input.
        value: Value of its input: float32, uint8 (sent as float32), or bytes in an object array.
        output: Name of its output.
        version: Version of the model. None selects the newest version.
        max_values: Maximum number of values in the response. A longer one is not read.
    """

    signature: str
    name: str
    value: np.ndarray
    output: str
    version: int | None = None
    max_values: int = 1 << 20


@dataclass(frozen=True)
class Response:
    """The output of a signature.

    Args:
        value: Value of the output: float32, or bytes in an object array.
        version: Version of the model that computed it.
    """

    value: np.ndarray
    version: int


class Transport(Protocol):
    """A connection to one model on a server."""

    def call(self, request: Request) -> Response:
        """Send a request once and return the response.

        Raises:
            Unavailable: If the server cannot be reached or is starting or stopping.
            LiverSegError: If the server rejects the request, does not respond in time, or sends
                an invalid response.
        """

    def close(self) -> None:
        """Close the connection; requests in progress fail."""
