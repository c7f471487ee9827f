"""Sessions: images that a viewer sends for predictions, and that are not kept."""

import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.serve.server.limits import Refusal, ServerLimits


@dataclass
class Session:
    """An image that is kept for a while.

    Args:
        name: Random identifier, which only the viewer knows that created the session.
        folder: Private folder of the image.
        source: File or DICOM series.
        size: Size of the folder in bytes.
        expiry_s: Time without use after which the session is removed.
        created: Time of creation, in seconds since 1970.
        used: Time of the last use.
        users: Number of requests that use the image now.
    """

    name: str
    folder: Path
    source: Path | DicomSeries
    size: int
    expiry_s: float
    created: float = field(default_factory=time.time)
    used: float = field(default_factory=time.time)
    users: int = 0

    def to_json(self) -> dict:
        """Return the entries that MONAI Label's clients know; the paths remain private."""
        return {
            "name": self.name,
            "path": "",
            "image": "",
            "meta": {},
            "create_ts": int(self.created),
            "last_access_ts": int(self.used),
            "expiry": int(self.expiry_s),
        }


class Sessions:
    """The sessions of the server.

    Args:
        limits: Limits of the server.
    """

    def __init__(self, limits: ServerLimits):
        self._limits = limits
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def create(self, folder: Path, source: Path | DicomSeries, expiry_s: float = 0) -> Session:
        """Create a session; it owns the folder from now on.

        Args:
            folder: Private folder of the image.
            source: File or DICOM series in the folder.
            expiry_s: Time without use after which it is removed; 0 takes that of the limits, which
                is also the longest.

        Raises:
            Refusal: If there are too many sessions, or the disk space for them is used.
        """
        self.remove_expired()
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        longest = self._limits.session_seconds
        session = Session(
            secrets.token_urlsafe(24),
            folder,
            source,
            size,
            min(expiry_s, longest) if expiry_s > 0 else longest,
        )
        with self._lock:
            total = size + sum(other.size for other in self._sessions.values())
            if len(self._sessions) >= self._limits.sessions or total > self._limits.disk_bytes:
                raise Refusal(
                    503,
                    f"Expected at most {self._limits.sessions} sessions of together "
                    f"{self._limits.disk_bytes / 1e9:.3g} GB. Received one more: remove a session, "
                    "or wait until one expires.",
                    60,
                )
            self._sessions[session.name] = session
        return session

    def get(self, name: str, touch: bool = True) -> Session:
        """Return a session.

        Args:
            name: Identifier of the session.
            touch: Whether this is a use of the session, which prolongs it.

        Raises:
            Refusal: If there is no such session, or it has expired.
        """
        self.remove_expired()
        with self._lock:
            session = self._sessions.get(name)
            if session is None:
                raise Refusal(
                    404, "Expected a session that exists. Received one that has expired or ended."
                )
            if touch:
                session.used = time.time()
        return session

    @contextmanager
    def using(self, name: str) -> Iterator[Session]:
        """Provide a session whose files remain until the end of the block.

        Raises:
            Refusal: If there is no such session.
        """
        session = self.get(name)
        with self._lock:
            session.users += 1
        try:
            yield session
        finally:
            with self._lock:
                session.users -= 1
                session.used = time.time()
                ended = session.name not in self._sessions and not session.users
            if ended:
                shutil.rmtree(session.folder, ignore_errors=True)

    def remove(self, name: str) -> Session:
        """End a session. Its files are removed as soon as no request uses them.

        Raises:
            Refusal: If there is no such session.
        """
        session = self.get(name)
        self._drop([session])
        return session

    def remove_expired(self) -> None:
        """Remove the sessions that have not been used for too long."""
        now = time.time()
        with self._lock:
            expired = [
                one
                for one in self._sessions.values()
                if not one.users and one.used + one.expiry_s < now
            ]
        self._drop(expired)

    def _drop(self, sessions: list[Session]) -> None:
        for session in sessions:
            with self._lock:
                self._sessions.pop(session.name, None)
                in_use = session.users > 0
            if not in_use:
                shutil.rmtree(session.folder, ignore_errors=True)
