"""What a client asks a server, by whatever protocol."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Request:
    """A call of one signature of a model.

    Args:
        signature: of the model.
        name: of its input.
        value: of its input: float32 or uint8 (sent as float32), or bytes as objects.
        output: name of its output.
        version: of the model; None for the newest.
        most_values: that an answer may have; a longer one is not read.
    """

    signature: str
    name: str
    value: np.ndarray
    output: str
    version: int | None = None
    most_values: int = 1 << 20


@dataclass(frozen=True)
class Response:
    """What a server sent: the output, and the version of the model that gave it."""

    value: np.ndarray
    version: int


class Transport(Protocol):
    """A way to a server."""

    def ask(self, request: Request) -> Response:
        """One attempt.

        Raises:
            Unavailable: when the server is away.
            LiverSegError: when it refuses, doesn't answer in time, or answers something else.
        """

    def close(self) -> None:
        """Hang up; questions that are under way fail."""
