import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The cache of the bundles, which is empty at first."""
    monkeypatch.setenv("LIVERSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class FileServer:
    """Answers each path with a tuple (status, headers, body); others are not found."""

    def __init__(self, certificate=None):
        self.answers, self.requests = {}, []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.requests.append(f"{self.command} {self.path}")
                status, headers, body = server.answers.get(self.path, (404, {}, b"no such file"))
                self.send_response(status)
                for name, value in ({"Content-Length": len(body)} | headers).items():
                    self.send_header(name, str(value))
                self.end_headers()
                if self.command == "GET":
                    with suppress(OSError):
                        self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads, self.http.block_on_close = True, False
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch):
    """A server without encryption."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = FileServer()
    yield server
    server.stop()


@pytest.fixture
def secure_server(monkeypatch, tmp_path):
    """A server with a certificate that this machine trusts."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    server = FileServer(authority.issue_cert("127.0.0.1"))
    yield server
    server.stop()
