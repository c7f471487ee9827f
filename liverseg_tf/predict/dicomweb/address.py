"""Address of a study or series in an archive, and the credentials for it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from liverseg_tf.errors import SettingsError
from liverseg_tf.network_host import host_in_url, is_loopback

# name: whether it uses TLS
SCHEMES = {"dicomweb": False, "http": False, "dicomweb+https": True, "https": True}
USER_VARIABLE, PASSWORD_VARIABLE = "LIVERSEG_DICOMWEB_USER", "LIVERSEG_DICOMWEB_PASSWORD"
TOKEN_VARIABLE = "LIVERSEG_DICOMWEB_TOKEN"
_UID = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_PATH = re.compile(
    r"(?P<base>(?:/[\w.~-]+)*?)/studies/(?P<study>[0-9.]+)(?:/series/(?P<series>[0-9.]+))?/?"
)


def is_uid(text: object) -> bool:
    """Return whether a value is a UID: numbers with dots between them, at most 64 characters."""
    return isinstance(text, str) and len(text) <= 64 and _UID.fullmatch(text) is not None


@dataclass(frozen=True)
class StudyAddress:
    """A study or a series, as in dicomweb://HOST:PORT/PATH/studies/UID/series/UID.

    Args:
        secure: Whether the connection uses TLS.
        host: Host name or IP address.
        port: Port; None stands for the usual one, 80 or 443.
        base: Path of the DICOMweb service; empty or with a slash at the start.
        study: StudyInstanceUID.
        series: SeriesInstanceUID; None stands for all series of the study.
    """

    secure: bool
    host: str
    port: int | None
    base: str
    study: str
    series: str | None = None

    @classmethod
    def parse(cls, text: str) -> "StudyAddress":
        """Parse an address.

        Raises:
            SettingsError: If the text is not an address. Parts of it that could be secret are not
                repeated.
        """
        address = cls._from_url(text)
        if address is None:
            shown = re.sub(r"//[^/]*@", "//", text.partition("?")[0].partition("#")[0])
            raise SettingsError(
                "Expected a study as dicomweb://HOST:PORT/PATH/studies/UID, with dicomweb+https "
                "for TLS and optionally /series/UID at the end; credentials belong into "
                f"{USER_VARIABLE} and {PASSWORD_VARIABLE} or a netrc file. Received {shown!r}."
            )
        return address

    @classmethod
    def _from_url(cls, text: str) -> "StudyAddress | None":
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            return None
        path = _PATH.fullmatch(parts.path)
        if parts.scheme not in SCHEMES or not host or port == 0 or path is None:
            return None
        if "@" in parts.netloc or parts.query or parts.fragment or ".." in parts.path.split("/"):
            return None
        study, series = path["study"], path["series"]
        if not is_uid(study) or (series is not None and not is_uid(series)):
            return None
        return cls(SCHEMES[parts.scheme], host, port, path["base"], study, series)

    @property
    def service(self) -> str:
        """URL of the DICOMweb service."""
        port = "" if self.port is None else f":{self.port}"
        return f"{'https' if self.secure else 'http'}://{host_in_url(self.host)}{port}{self.base}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, so that no data leaves it."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        series = "" if self.series is None else f"/series/{self.series}"
        return f"{self.service}/studies/{self.study}{series}"


@dataclass(frozen=True)
class Credentials:
    """Credentials for an archive: a user and a password, a token, or none.

    Args:
        user: Name of the user.
        password: Password of the user. It is secret.
        token: Token for the header "Authorization: Bearer". It is secret.

    Raises:
        SettingsError: If there is a user and a token. They are not repeated.
    """

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.user and self.token:
            raise SettingsError(
                f"Expected either {USER_VARIABLE} or {TOKEN_VARIABLE}. Received both."
            )

    @classmethod
    def read(cls, environment: Mapping[str, str], address: StudyAddress) -> "Credentials":
        """Read the credentials from environment variables, or else from a netrc file.

        Args:
            environment: Environment variables, usually `os.environ`.
            address: Address to which they will be sent.

        Raises:
            SettingsError: If they would be sent over a network without encryption.
        """
        from requests.utils import get_netrc_auth

        found = cls(
            environment.get(USER_VARIABLE, ""),
            environment.get(PASSWORD_VARIABLE, ""),
            environment.get(TOKEN_VARIABLE, ""),
        )
        if not found:
            found = cls(*(get_netrc_auth(address.service) or ("", "")))
        if found and not address.secure and not address.is_loopback:
            raise SettingsError(
                "Expected dicomweb+https:// for credentials, because dicomweb:// sends them in the "
                f"clear. Received {address}."
            )
        return found

    def __bool__(self) -> bool:
        return bool(self.user or self.token)

    def sanitise(self, text: object, length: int = 300) -> str:
        """Shorten a server's message to one printable line without the secrets.

        Args:
            text: Message.
            length: Maximum number of characters.
        """
        line = " ".join(str(text)[: 20 * length].split())
        for secret in (self.password, self.token):
            if secret:
                line = line.replace(secret, "[secret]")
        line = "".join(letter for letter in line if letter.isprintable())
        return line if len(line) <= length else line[: length - 1] + "…"
