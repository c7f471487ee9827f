"""HTTP exchanges with an archive that are limited in size and in time."""

import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from liverseg_tf.predict.dicomweb.address import Credentials

_JSON_BYTES = 1 << 26  # of the answer to a query
_INSTANCE_BYTES = 1 << 30  # of an instance; an enhanced CT of 1000 slices has half of it
# pydicom inflates such instances without a limit
_DEFLATED = b"1.2.840.10008.1.2.1.99"


class TooLarge(requests.RequestException):
    """An answer that is longer than any sensible one."""


class LimitedSession(requests.Session):
    """A session for one archive: no redirects, no credentials but the given ones, limits.

    Args:
        credentials: Credentials for the archive.
        tls_ca: File with the CA certificates (PEM) that verify the archive. None selects those
            of the requests library.
        exchange_s: Time limit of each request with its answer, in seconds.
    """

    def __init__(self, credentials: Credentials, tls_ca: Path | None, exchange_s: float):
        super().__init__()
        self.max_redirects = 0  # data of patients go to no other host
        self._tls_ca, self._exchange_s = tls_ca, exchange_s
        self._credentials = credentials
        self.auth = self._authenticate  # also keeps requests from reading netrc itself

    def _authenticate(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        found = self._credentials
        if found.token:
            request.headers["Authorization"] = f"Bearer {found.token}"
        elif found.user:
            return requests.auth.HTTPBasicAuth(found.user, found.password)(request)
        return request

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request and receive the whole answer within the limits.

        The exchange runs in a thread of its own: the timeouts of a socket start again with every
        byte, so that a server that sends a byte now and then would never reach them.

        Raises:
            requests.RequestException: If the archive cannot be reached, or a limit is exceeded.
        """
        outcome: list[requests.Response | BaseException] = []

        def exchange() -> None:
            try:
                outcome.append(self._receive(request, options))
            except BaseException as error:
                outcome.append(error)

        thread = threading.Thread(target=exchange, daemon=True)
        thread.start()
        thread.join(self._exchange_s)
        if not outcome:
            raise requests.Timeout(f"not finished within {self._exchange_s:g} s")
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def _receive(
        self, request: requests.PreparedRequest, options: dict[str, Any]
    ) -> requests.Response:
        is_query = "json" in str(request.headers.get("Accept", ""))
        limit = _JSON_BYTES if is_query else _INSTANCE_BYTES
        options = options | {"stream": True, "allow_redirects": False}
        if self._tls_ca is not None:
            options["verify"] = str(
                self._tls_ca
            )  # here, the variable REQUESTS_CA_BUNDLE has no effect
        response = super().send(request, **options)
        if response.is_redirect:
            response.close()
            raise requests.TooManyRedirects(f"a redirection to {response.headers['Location']}")
        limited = functools.partial(_limit, response.iter_content, limit)
        response.iter_content = limited  # type: ignore[method-assign]
        if _DEFLATED in response.content:
            raise requests.RequestException("a deflated instance, which is not fetched")
        return response


def _limit(iterate: Any, limit: int, *options: Any, **named: Any) -> Iterator[bytes]:
    total = 0
    for chunk in iterate(*options, **named):
        total += len(chunk)
        if total > limit:
            raise TooLarge(f"an answer of more than {limit >> 20} MB")
        yield chunk
