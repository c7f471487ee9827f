"""One HTTP request: redirects followed with care, every other answer handed back."""

import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from urllib.parse import urljoin, urlsplit

from liverseg_tf import __version__
from liverseg_tf.errors import LiverSegError, SettingsError

MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {"User-Agent": f"liverseg_tf/{__version__}", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Address:
    """Where a file is asked for.

    Args:
        url: http or https, without a user's name in it.
        authorization: header for this scheme, host and port alone; a secret.
        hint: what to do when the server refuses it, for the error's end.

    Raises:
        SettingsError: when the address is of another kind.
    """

    url: str
    authorization: str | None = field(default=None, repr=False)
    hint: str = ""

    def __post_init__(self) -> None:
        if _origin(self.url) is None:
            raise SettingsError(
                "Expected an address as https://host/file, without a user's name. "
                f"Received {plain(self.url)!r}."
            )


class TryAgain(Exception):
    """Something that may go well the next time; its text ends the sentence 'Received'."""


def send(address: Address, headers: dict[str, str], silence_s: float) -> HTTPResponse:
    """Ask for a file.

    A redirect never leads from https to http nor to another scheme, and another host never
    gets to see the authorization. Bodies of redirects are not read.

    Args:
        address: of the file.
        headers: of the request, besides the usual ones.
        silence_s: seconds to wait for a connection, and for each next byte.

    Returns:
        The answer, of whatever status; its body is not read yet.

    Raises:
        TryAgain: when there is no answer.
        LiverSegError: when a redirect or the server's certificate is refused.
    """
    url = address.url
    for _ in range(MOST_REDIRECTS + 1):
        sent = _HEADERS | headers
        if address.authorization is not None and _origin(url) == _origin(address.url):
            sent["Authorization"] = address.authorization
        response = _open(urllib.request.Request(url, headers=sent), silence_s)
        if response.status not in _REDIRECTS:
            return response
        response.close()
        url = follow(url, response.headers.get("Location", ""))
    raise LiverSegError(
        f"Expected at most {MOST_REDIRECTS} redirects from {plain(address.url)}. Received more."
    )


def plain(url: str) -> str:
    """An address for messages, without what may be secret: a user's name, a signature."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that can't be read"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def follow(url: str, location: str) -> str:
    """The address that a redirect leads to.

    Raises:
        LiverSegError: when it is not http or https, or http where https was asked for.
    """
    try:
        target = urljoin(url, location.replace(" ", "%20"))
    except ValueError:
        target = ""
    origin = _origin(target)
    if origin is None or (origin[0] == "http" and _origin(url)[0] == "https"):
        raise LiverSegError(
            f"Expected a redirect of {plain(url)} to http or https, and never from https to http. "
            f"Received {plain(target)}."
        )
    return target


def _open(request: urllib.request.Request, silence_s: float) -> HTTPResponse:
    # neither files nor FTP, and no handler that follows redirects with all headers
    opener = urllib.request.OpenerDirector()
    for handler in ("ProxyHandler", "UnknownHandler", "HTTPHandler", "HTTPSHandler"):
        opener.add_handler(getattr(urllib.request, handler)())
    where = plain(request.full_url)
    try:
        return opener.open(request, timeout=silence_s)
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise LiverSegError(
                f"Expected a valid certificate of {where}. Received: {reason.verify_message}."
            ) from error
        raise TryAgain(f"no answer from {where} ({explain(reason)})") from error
    except ValueError as error:
        raise LiverSegError(f"Expected an address. Received {where}.") from error


def explain(error: object) -> str:
    """An error of the network in a few words."""
    if isinstance(error, TimeoutError):
        return "silence"
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None where it is no address to send a request to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    if usual is None or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, usual if port is None else port
