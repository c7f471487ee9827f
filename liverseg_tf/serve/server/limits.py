"""The limits of the server, and the refusal of a request."""

from dataclasses import dataclass

from liverseg_tf.errors import LiverSegError, SettingsError


@dataclass(frozen=True)
class ServerLimits:
    """What one request, and all of them together, may use.

    Args:
        request_bytes: Size of a request.
        requests: Number of requests at the same time.
        queue: Number of predictions that wait for the model.
        seconds: Time in which a request is received, and in which it is then predicted.
        sessions: Number of sessions at the same time.
        session_seconds: Time after which a session that is not used is removed.
        disk_bytes: Size of all images in sessions together.

    Raises:
        SettingsError: If a limit is not above 0.
    """

    request_bytes: int = 2 * 1024**3
    requests: int = 32
    queue: int = 8
    seconds: float = 600.0
    sessions: int = 32
    session_seconds: float = 3600.0
    disk_bytes: int = 16 * 1024**3

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise SettingsError(f"Expected {name} above 0. Received {value:g}.")


class Refusal(LiverSegError):
    """A request that is not answered, with the status of HTTP.

    Args:
        status: Status code.
        message: One line for the user of the viewer.
        retry_after_s: Seconds after which the same request may succeed.
    """

    def __init__(self, status: int, message: str, retry_after_s: int | None = None):
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
