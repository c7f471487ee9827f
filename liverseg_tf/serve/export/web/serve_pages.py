"""A small server for the pages that segment in the browser, with the headers for threads."""

import html
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.html_page import is_own_page

# browsers give several threads only to pages that no other page can reach into
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def list_pages(folder: Path) -> list[Path]:
    """Return the pages of this package in a folder, by name; other files are never served.

    Raises:
        LiverSegError: If the folder cannot be read.
    """
    try:
        return sorted(path for path in folder.glob("*.html") if is_own_page(path))
    except OSError as error:
        raise LiverSegError(f"Cannot read {folder}: {reason_of(error)}.") from error


def open_server(folder: Path, host: str, port: int) -> ThreadingHTTPServer:
    """Open a server of the pages in a folder; its `serve_forever` answers requests.

    Args:
        folder: Folder with pages that `liverseg export --web` wrote.
        host: Address to bind to.
        port: Port; 0 takes a free one.

    Raises:
        LiverSegError: If the folder has no page, or the port cannot be used.
    """
    if not list_pages(folder):
        raise LiverSegError(
            f"Expected pages (.html) in {folder}. Received a folder without one: write one with "
            "liverseg export --web."
        )
    try:
        return ThreadingHTTPServer((host, port), _handler_of(folder))
    except OSError as error:
        raise LiverSegError(
            f"Expected a free port at {host}. Received {port}: {reason_of(error)}."
        ) from error


def _handler_of(folder: Path) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "liverseg"
        sys_version = ""

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing: a request says which page was opened, and nothing about an image."""

        def _answer(self, with_body: bool) -> None:
            name = unquote(urlsplit(self.path).path).removeprefix("/")
            pages = {path.name: path for path in list_pages(folder)}
            if name in ("", "index.html") and name not in pages:
                status, body = 200, _index(list(pages)).encode()
            elif name in pages:
                status, body = 200, pages[name].read_bytes()
            else:
                status, body = 404, b"No such page.\n"
            self.send_response(status)
            kind = "html" if status == 200 else "plain"
            self.send_header("Content-Type", f"text/{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            for header, value in HEADERS.items():
                self.send_header(header, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    return Handler


def _index(names: list[str]) -> str:
    items = "".join(f'<li><a href="{quote(name)}">{html.escape(name)}</a></li>' for name in names)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Pages</title>'
        f"<h1>Segmentation in the browser</h1><ul>{items}</ul></html>\n"
    )
