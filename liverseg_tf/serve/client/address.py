"""Where a served model is, and with what it is reached."""

import ipaddress
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from liverseg_tf.errors import LiverSegError, SettingsError

SCHEMES = {"grpc": False, "grpcs": True, "rest": False, "rests": True}  # name: with TLS
TOKEN_VARIABLE = "LIVERSEG_TOKEN"
_MOST_DETAILS = 300


@dataclass(frozen=True)
class ServerAddress:
    """A model on a server, as in grpc://HOST:PORT/NAME or rests://HOST:PORT/NAME/VERSION.

    Args:
        scheme: grpc, grpcs, rest or rests.
        host: a name or an IP address.
        port: 1 to 65535.
        name: of the model.
        version: of the model; None for the newest that the server has.
    """

    scheme: str
    host: str
    port: int
    name: str
    version: int | None = None

    @classmethod
    def parse(cls, text: str) -> "ServerAddress":
        """The address that a text means.

        Raises:
            SettingsError: when it is none; what could be secret in it is not repeated.
        """
        try:
            parts = urlsplit(text)
            port = parts.port
            path = re.fullmatch(r"/([\w.-]{1,200})(?:/(\d{1,18}))?/?", parts.path, re.ASCII)
            known = parts.scheme in SCHEMES and parts.hostname and port and path
        except ValueError:
            known = False
        if not known or "@" in parts.netloc or parts.query or parts.fragment:
            raise SettingsError(
                "Expected a served model as grpc://HOST:PORT/NAME or rest://HOST:PORT/NAME, with "
                "grpcs and rests for TLS, and /VERSION if need be. Received "
                f"{_without_secrets(text)!r}."
            )
        name, version = path.groups()
        return cls(parts.scheme, parts.hostname, port, name, version and int(version))

    @property
    def secure(self) -> bool:
        return SCHEMES[self.scheme]

    @property
    def authority(self) -> str:
        """Host and port; an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_here(self) -> bool:
        """Whether the host is this machine: what is sent to it doesn't leave it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        version = "" if self.version is None else f"/{self.version}"
        return f"{self.scheme}://{self.authority}/{self.name}{version}"


@dataclass(frozen=True)
class Access:
    """What a server may ask for.

    Args:
        token: for the header "Authorization: Bearer"; a secret.
        tls_ca: PEM file with the authorities that vouch for the server; None takes the usual ones.

    Raises:
        SettingsError: when the token can't be one; it is not repeated.
    """

    token: str | None = field(default=None, repr=False)
    tls_ca: Path | None = None

    def __post_init__(self) -> None:
        if self.token is not None and not re.fullmatch(r"[\x21-\x7e]+", self.token):
            raise SettingsError(
                "Expected a token of printable ASCII characters without spaces. Received another."
            )

    def check(self, address: ServerAddress) -> None:
        """Raise a `SettingsError` where the token would be sent in the clear."""
        if self.token is not None and not address.secure and not address.is_here:
            raise SettingsError(
                f"Expected {address.scheme}s:// for a token, which {address.scheme}:// sends in "
                f"the clear. Received {address}."
            )

    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"authorization": f"Bearer {self.token}"}

    def tls_context(self) -> ssl.SSLContext:
        """For HTTPS; it also tells whether the file of authorities is one.

        Raises:
            LiverSegError: when it is none.
        """
        try:
            return ssl.create_default_context(cafile=self.tls_ca and str(self.tls_ca))
        except (OSError, ValueError) as error:  # SSLError is an OSError
            reason = getattr(error, "strerror", None) or str(error)
            raise LiverSegError(
                f"Expected certificates (PEM) in {self.tls_ca}. Received: {reason}."
            ) from error

    def tell(self, text: object) -> str:
        """What a server said, fit for a message: one line, not long, without the token."""
        words = " ".join(str(text)[: 20 * _MOST_DETAILS].split())
        if self.token is not None:
            words = words.replace(self.token, "[token]")
        words = "".join(c for c in words if c.isprintable())
        return words if len(words) <= _MOST_DETAILS else words[: _MOST_DETAILS - 1] + "…"


def is_address(text: str) -> bool:
    """Whether a --model is meant as a server's address rather than as a folder."""
    return "://" in text


def read_token(environment: Mapping[str, str], file: Path | None = None) -> str | None:
    """The token in a file, or in the variable LIVERSEG_TOKEN.

    Raises:
        LiverSegError: when the file can't be read or is empty.
    """
    if file is None:
        return environment.get(TOKEN_VARIABLE, "").strip() or None
    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise LiverSegError(f"Expected a token in {file}. Received: {reason}.") from error
    if not token:
        raise LiverSegError(f"Expected a token in {file}. Received an empty file.")
    return token


def _without_secrets(text: str) -> str:
    return re.sub(r"//[^/]*@", "//", text.partition("?")[0].partition("#")[0])
