"""Address of a model on a server, and the credentials for it."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from liverseg_tf.errors import LiverSegError, SettingsError, reason_of
from liverseg_tf.network_host import host_in_url, is_loopback

SCHEMES = {"grpc": False, "grpcs": True, "rest": False, "rests": True}  # name: whether it uses TLS
TOKEN_VARIABLE = "LIVERSEG_TOKEN"
_MAX_DETAILS = 300  # characters of a server's message


@dataclass(frozen=True)
class ServerAddress:
    """A model on a server, as in grpc://HOST:PORT/NAME or rests://HOST:PORT/NAME/VERSION.

    Args:
        scheme: Protocol: grpc, grpcs, rest or rests.
        host: Host name or IP address.
        port: Port from 1 to 65535.
        name: Name of the model.
        version: Version of the model. None selects the newest version on the server.
    """

    scheme: str
    host: str
    port: int
    name: str
    version: int | None = None

    @classmethod
    def parse(cls, text: str) -> "ServerAddress":
        """Parse an address.

        Raises:
            SettingsError: If the text is not an address. Parts of it that could be secret are not
                repeated.
        """
        address = cls._from_url(text)
        if address is None:
            raise SettingsError(
                "Expected a served model as grpc://HOST:PORT/NAME or rest://HOST:PORT/NAME, with "
                "grpcs or rests for TLS, and optionally /VERSION at the end. Received "
                f"{_without_secrets(text)!r}."
            )
        return address

    @classmethod
    def _from_url(cls, text: str) -> "ServerAddress | None":
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            return None
        path = re.fullmatch(r"/([\w.-]{1,200})(?:/(\d{1,18}))?/?", parts.path, re.ASCII)
        if parts.scheme not in SCHEMES or not host or not port or path is None:
            return None
        if "@" in parts.netloc or parts.query or parts.fragment:
            return None
        name, version = path.groups()
        return cls(parts.scheme, host, port, name, None if version is None else int(version))

    @property
    def secure(self) -> bool:
        """Whether the connection uses TLS."""
        return SCHEMES[self.scheme]

    @property
    def authority(self) -> str:
        """Host and port, with an IPv6 address in brackets."""
        return f"{host_in_url(self.host)}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, so that no data leaves it."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        version = "" if self.version is None else f"/{self.version}"
        return f"{self.scheme}://{self.authority}/{self.name}{version}"


@dataclass(frozen=True)
class Access:
    """Token and certificates for a server.

    Args:
        token: Token for the header "Authorization: Bearer". It is secret.
        tls_ca: PEM file with the certificates of the authorities that the client trusts. None
            selects those of the system.

    Raises:
        SettingsError: If the token is not valid. It is not repeated.
    """

    token: str | None = field(default=None, repr=False)
    tls_ca: Path | None = None

    def __post_init__(self) -> None:
        if self.token is not None and not re.fullmatch(r"[\x21-\x7e]+", self.token):
            raise SettingsError(
                "Expected a token of printable ASCII characters without spaces. "
                "Received one with other characters."
            )

    def check(self, address: ServerAddress) -> None:
        """Check that the token is only sent with encryption, or to this machine.

        Raises:
            SettingsError: If the token would be sent over a network without encryption.
        """
        if self.token is not None and not address.secure and not address.is_loopback:
            raise SettingsError(
                f"Expected {address.scheme}s:// for a token, because {address.scheme}:// sends it "
                f"in the clear. Received {address}."
            )

    def headers(self) -> dict[str, str]:
        """Headers that carry the token."""
        return {} if self.token is None else {"authorization": f"Bearer {self.token}"}

    def tls_context(self) -> ssl.SSLContext:
        """Return the TLS settings.

        Raises:
            LiverSegError: If the file of certificates cannot be used.
        """
        try:
            return ssl.create_default_context(cafile=self.tls_ca and str(self.tls_ca))
        except (OSError, ValueError) as error:  # SSLError is an OSError
            reason = reason_of(error)
            raise LiverSegError(
                f"Expected certificates (PEM) in {self.tls_ca}. Received: {reason}."
            ) from error

    def sanitise(self, text: object) -> str:
        """Shorten a server's message to one printable line without the token."""
        line = " ".join(str(text)[: 20 * _MAX_DETAILS].split())
        if self.token is not None:
            line = line.replace(self.token, "[token]")
        line = "".join(c for c in line if c.isprintable())
        return line if len(line) <= _MAX_DETAILS else line[: _MAX_DETAILS - 1] + "…"


def read_token(environment: Mapping[str, str], file: Path | None = None) -> str | None:
    """Read the token from a file, or else from the variable LIVERSEG_TOKEN.

    Args:
        environment: Environment variables, usually `os.environ`.
        file: Text file with the token.

    Returns:
        The token. None if there is no file and the variable is empty or missing.

    Raises:
        LiverSegError: If the file cannot be read or is empty.
    """
    if file is None:
        return environment.get(TOKEN_VARIABLE, "").strip() or None
    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise LiverSegError(f"Expected a token in {file}. Received: {reason}.") from error
    if not token:
        raise LiverSegError(f"Expected a token in {file}. Received an empty file.")
    return token


def _without_secrets(text: str) -> str:
    return re.sub(r"//[^/]*@", "//", text.partition("?")[0].partition("#")[0])
