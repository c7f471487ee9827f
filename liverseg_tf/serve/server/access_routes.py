"""The routes about the server itself: access, log, figures and the list of routes."""

import hmac
from html import escape
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, PlainTextResponse

from liverseg_tf.serve.server.limits import Refusal
from liverseg_tf.serve.server.state import SharedService

router = APIRouter()


@router.get("/", include_in_schema=False)
def page(request: Request) -> HTMLResponse:
    """Return a page with all routes, which loads nothing from other servers."""
    rows = [
        f"<tr><td>{method.upper()}</td><td><code>{escape(path)}</code></td>"
        f"<td>{escape(entry.get('description', ''))}</td></tr>"
        for path, methods in request.app.openapi()["paths"].items()
        for method, entry in methods.items()
    ]
    return HTMLResponse(
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>liverseg_tf</title>"
        "<style>body{font-family:sans-serif;margin:2em}td{padding:.2em 1em .2em 0}</style>"
        "<h1>liverseg_tf</h1><p>The address of this page is the address of the server for 3D "
        "Slicer and OHIF. Description of the routes: <a href='openapi.json'>openapi.json</a></p>"
        f"<table>{''.join(rows)}</table></html>"
    )


@router.get("/health")
def health() -> dict:
    """Say that the server is ready."""
    return {"status": "ok"}


@router.get("/metrics")
def metrics(service: SharedService) -> PlainTextResponse:
    """Return figures for Prometheus."""
    return PlainTextResponse(service.activity.metrics(service.queue.waiting, len(service.sessions)))


@router.get("/logs/")
def logs(service: SharedService, lines: int = 300) -> PlainTextResponse:
    """Return the last lines of the log."""
    return PlainTextResponse("".join(f"{line}\n" for line in service.activity.lines(lines)))


@router.get("/auth/")
def auth(service: SharedService) -> dict:
    """Say whether requests need a token."""
    return {"enabled": service.access.token is not None, "client_id": None, "realm": None}


@router.post("/auth/token")
def token(
    service: SharedService,
    password: Annotated[str, Form()] = "",
    username: Annotated[str, Form()] = "",
) -> dict:
    """Exchange the password, which is the token, for the token; any user name is accepted."""
    expected = service.access.token
    if expected is None:
        return {"access_token": "", "token_type": "bearer"}
    given = password.strip().encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(expected.encode(), given):
        raise Refusal(401, "Expected the token of this server as password. Received another one.")
    return {"access_token": expected, "token_type": "bearer"}


@router.get("/auth/token/valid")
def valid_token() -> dict:
    """Say that the token of the request is valid; other requests do not arrive here."""
    return {"username": "user", "email": None, "name": None, "roles": ["user"]}
