"""What every request passes before a route sees it: limits, access, and the log."""

import asyncio
import hmac
import time
from urllib.parse import urlsplit

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from liverseg_tf.serve.server.limits import Refusal
from liverseg_tf.serve.server.service import Service

OPEN_PATHS = ("/", "/auth/", "/auth/token", "/health", "/openapi.json")  # need no token
_WITHOUT_BODY = ("GET", "HEAD", "DELETE", "OPTIONS")
_SAFE = ("GET", "HEAD", "OPTIONS")
_TAIL = 256  # bytes; the end of a form has at most 74, and white space


class Guards:
    """An ASGI middleware that refuses requests before their body is read.

    Args:
        app: The application.
        service: State of the server.
    """

    def __init__(self, app: ASGIApp, service: Service):
        self._app, self._service = app, service
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._active += 1
        try:
            self._check(scope)
            kind = Headers(scope=scope).get("content-type", "")
            limit = self._service.limits.request_bytes
            body = _LimitedBody(receive, limit, self._deadline(), _end_of_form(kind))
            await self._app(scope, body.receive, send_and_note)
        except Refusal as refusal:
            headers = {**refusal.headers, "connection": "close"}
            answer = JSONResponse({"detail": str(refusal)}, refusal.status, headers)
            await answer(scope, receive, send_and_note)
        finally:
            self._active -= 1
            route = getattr(scope.get("route"), "path", "(unknown)")
            seconds = time.monotonic() - started
            self._service.activity.request(_known(scope["method"]), route, status, seconds)

    def _deadline(self) -> float:
        return time.monotonic() + self._service.limits.seconds

    def _check(self, scope: Scope) -> None:
        headers, limits = Headers(scope=scope), self._service.limits
        access = self._service.access
        host = _host_of(headers.get("host", ""))
        if access.hosts and host not in access.hosts:
            raise Refusal(403, "Expected the name of this server as Host. Received another one.")
        origin = headers.get("origin")
        is_own = origin is not None and _host_of(urlsplit(origin).netloc) == host
        if (
            origin is not None
            and scope["method"] not in _SAFE
            and not is_own
            and origin not in access.origins
        ):
            raise Refusal(
                403, "Expected a page that --allow-origin names. Received a request of another one."
            )
        if access.token is not None and scope["path"] not in OPEN_PATHS:
            check_token(headers.get("authorization", ""), access.token)
        if self._active > limits.requests:
            raise Refusal(
                503,
                f"Expected at most {limits.requests} requests at the same time. Received one more.",
                5,
            )
        length = headers.get("content-length", "0")
        if scope["method"] not in _WITHOUT_BODY and (
            not length.isdecimal() or int(length[:20]) > limits.request_bytes
        ):
            raise Refusal(413, _too_large(limits.request_bytes))


class _LimitedBody:
    """The body of a request, which ends with an error if it is too large, too slow or half.

    Args:
        receive: Function that returns the next part.
        limit: Maximum number of bytes.
        deadline: Time of the monotonic clock at which all must have arrived.
        end: What a form ends with; nothing if the body is none. Starlette leaves out a field that
            has no end, so that the image of a request could be another one than was sent.
    """

    def __init__(self, receive: Receive, limit: int, deadline: float, end: bytes):
        self._receive, self._limit, self._deadline = receive, limit, deadline
        self._received, self._complete = 0, False
        self._end, self._tail = end, b""

    async def receive(self) -> Message:
        """Return the next part of the body."""
        if self._complete:
            return await self._receive()
        try:
            left = max(0.0, self._deadline - time.monotonic())
            message = await asyncio.wait_for(self._receive(), left)
        except TimeoutError:
            raise HTTPException(
                408, "Expected the whole request in time. Received a part."
            ) from None
        content = message.get("body", b"")
        self._received += len(content)
        self._tail = (self._tail + content[-_TAIL:])[-_TAIL:]
        self._complete = not message.get("more_body", False)
        if self._received > self._limit:
            raise HTTPException(413, _too_large(self._limit), {"connection": "close"})
        if self._complete and self._received and not self._tail.rstrip().endswith(self._end):
            raise HTTPException(400, "Expected a whole form. Received one without its end.")
        return message


def _end_of_form(content_type: str) -> bytes:
    """Return the last line of a form with this content type; nothing if it is none."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    return b"--" + boundary + b"--" if kind == b"multipart/form-data" and boundary else b""


def check_token(authorization: str, token: str) -> None:
    """Check the header Authorization.

    Raises:
        Refusal: If it does not carry the token.
    """
    scheme, _, given = authorization.partition(" ")
    expected, received = token.encode(), given.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() != "bearer" or not hmac.compare_digest(expected, received):
        raise Refusal(401, "Expected the token of this server. Received none, or another one.")


def _too_large(limit: int) -> str:
    return f"Expected at most {limit / 1e6:.0f} MB in a request. Received more."


def _host_of(authority: str) -> str:
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def _known(method: str) -> str:
    return method if method in ("GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS") else "OTHER"
