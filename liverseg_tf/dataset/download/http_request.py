"""One HTTP request: redirects are followed with care, every other response is returned."""

import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urljoin, urlsplit

from liverseg_tf import __version__
from liverseg_tf.deadline import time_limit
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.retry import Unavailable

MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {"User-Agent": f"liverseg_tf/{__version__}", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Address:
    """The address of a file on a server.

    Args:
        url: http or https URL without a user name.
        authorization: Value of the Authorization header, which is secret. It is sent to the
            scheme, host and port of `url` only.
        hint: Advice for the case that the server denies access, for the end of the error.
        max_bytes: Largest size of the file that is accepted; None accepts any.

    Raises:
        SettingsError: If the URL is of another kind.
    """

    url: str
    authorization: str | None = field(default=None, repr=False)
    hint: str = ""
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if _origin(self.url) is None:
            raise SettingsError(
                "Expected an address as https://host/file, without a user name. "
                f"Received {redact_url(self.url)!r}."
            )


def send_request(address: Address, headers: dict[str, str], timeout_s: float) -> HTTPResponse:
    """Request a file.

    A redirect from https to http or to another scheme is refused, and the authorization is never
    sent to another host. Bodies of redirects are not read.

    Args:
        address: Address of the file.
        headers: Further headers of the request.
        timeout_s: Seconds to wait for a connection, for the header of the response, and then for
            each next byte.

    Returns:
        The response of any status, with its body not read yet.

    Raises:
        Unavailable: If there is no response.
        LiverSegError: If a redirect or the server's certificate is refused.
    """
    url = address.url
    for _ in range(MAX_REDIRECTS + 1):
        sent = _HEADERS | headers
        if address.authorization is not None and _origin(url) == _origin(address.url):
            sent["Authorization"] = address.authorization
        response = _open(urllib.request.Request(url, headers=sent), timeout_s)
        if response.status not in _REDIRECTS:
            return response
        response.close()
        url = resolve_redirect(url, response.headers.get("Location", ""))
    raise LiverSegError(
        f"Expected at most {MAX_REDIRECTS} redirects from {redact_url(address.url)}. Received more."
    )


def redact_url(url: str) -> str:
    """Return a URL for messages, without its user name and query, which may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def resolve_redirect(url: str, location: str) -> str:
    """Return the URL to which a redirect leads.

    Args:
        url: URL that was requested.
        location: Location header of the response.

    Raises:
        LiverSegError: If the redirect leads to a scheme other than http and https, or from https
            to http.
    """
    try:
        target = urljoin(url, location.replace(" ", "%20"))
    except ValueError:
        target = ""
    origin = _origin(target)
    if origin is None or (origin[0] == "http" and urlsplit(url).scheme == "https"):
        raise LiverSegError(
            f"Expected a redirect of {redact_url(url)} to http or https, and never from https to "
            f"http. Received {redact_url(target)}."
        )
    return target


def describe_error(error: object) -> str:
    """Describe a network error in a few words."""
    if isinstance(error, TimeoutError):
        return "timeout"
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


def _open(request: urllib.request.Request, timeout_s: float) -> HTTPResponse:
    # no handlers for files and FTP, and none that follows redirects with all headers
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler, urllib.request.UnknownHandler, _Http, _Https):
        opener.add_handler(handler())
    url = redact_url(request.full_url)
    try:
        return opener.open(request, timeout=timeout_s)
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise LiverSegError(
                f"Expected a valid certificate of {url}. Received: {reason.verify_message}."
            ) from error
        raise Unavailable(f"no answer from {url} ({describe_error(reason)})") from error
    except ValueError as error:
        raise LiverSegError(f"Expected the address of a file. Received {url}.") from error


class _TimeLimited(HTTPConnection):
    """A connection whose timeout holds for connecting and for the header, not for each byte."""

    timeout: float  # which `_open` always sets

    def connect(self) -> None:
        with time_limit(self.timeout, lambda: self.sock):
            super().connect()

    def getresponse(self) -> HTTPResponse:
        opened = self.sock  # a response without a length takes it from the connection
        with time_limit(self.timeout, lambda: opened):
            return super().getresponse()


class _TimeLimitedTls(_TimeLimited, HTTPSConnection):
    """The same with TLS."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_TimeLimited, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_TimeLimitedTls, req)


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a URL; None if it is not an http or https URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    default_port = {"http": 80, "https": 443}.get(parts.scheme)
    if default_port is None or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, default_port if port is None else port
