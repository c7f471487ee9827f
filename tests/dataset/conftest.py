import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Server:
    """Serves `body` under every path; each request is handled by the next function in `acts`."""

    def __init__(self, body=b""):
        self.body, self.etag, self.date = body, '"first"', None
        self.acts = []  # functions of a handler, one for each request; afterwards `send` is used
        self.requests = []  # path and headers of each request
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.requests.append((self.path, dict(self.headers)))
                act = server.acts.pop(0) if server.acts else server.send
                with suppress(OSError):  # the client closed the connection
                    act(self)
                self.close_connection = True

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads, self.http.block_on_close = True, False
        self.url = f"http://127.0.0.1:{self.http.server_port}/data.tar"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def send(self, handler, cut=None, ranges=True):
        """Respond as a correct server does, but close the connection after `cut` bytes."""
        start = self._start(handler) if ranges else 0
        self.reply(
            handler,
            206 if start else 200,
            {"Content-Length": len(self.body) - start}
            | (
                {"Content-Range": f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"}
                if start
                else {}
            ),
            self.body[start:] if cut is None else self.body[start : start + cut],
        )

    def reply(self, handler, status, headers, body=b""):
        handler.send_response(status)
        usual = {"ETag": self.etag, "Last-Modified": self.date}
        for name, value in (usual | headers).items():
            if value is not None:
                handler.send_header(name, str(value))
        handler.end_headers()
        handler.wfile.write(body)

    def cut(self, count):
        return lambda handler: self.send(handler, cut=count)

    def say(self, status, body=b"", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return lambda handler: self.reply(handler, status, named, body)

    def ranges(self):
        """Range header of each request."""
        return [headers.get("Range") for _, headers in self.requests]

    def _start(self, handler):
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        if asked is None or condition not in (None, self.etag or self.date):
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))


@pytest.fixture
def serve(monkeypatch):
    """A function that takes bytes and starts a `Server` for them."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers = []

    def start(body):
        servers.append(Server(body))
        return servers[-1]

    yield start
    for server in servers:
        server.http.shutdown()
        server.http.server_close()
