"""Servers that send a little now and then: every exchange has one time limit."""

import contextlib
import socket
import threading
import time

import numpy as np
import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.retry import RetryPolicy
from liverseg_tf.serve.client.address import Access, ServerAddress
from liverseg_tf.serve.client.rest_transport import RestTransport
from liverseg_tf.serve.client.served_model import ServedModel
from liverseg_tf.serve.client.transport import ClientOptions, Request

OPTIONS = ClientOptions(connect_timeout_s=0.3, request_timeout_s=0.3)
DRIPS = {
    "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "status": (b"HTTP/1.1 2", b"0"),
    "header": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "chunk size": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX:", b"x"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n", b" "),
    "body without length": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" "),
}


@pytest.fixture
def serve_bytes():
    """A function: the first bytes, and those that follow every 20 ms, to the port of a server."""
    listeners = []

    def serve(first, then):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def drip(connection):
            with contextlib.suppress(OSError), connection:
                connection.sendall(first)
                while True:
                    connection.sendall(then)
                    time.sleep(0.02)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=drip, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1]

    yield serve
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize("name", DRIPS)
def test_a_response_that_never_ends_is_left(serve_bytes, name):
    port = serve_bytes(*DRIPS[name])
    transport = RestTransport(ServerAddress("rest", "127.0.0.1", port, "liver"), Access(), OPTIONS)
    request = Request("describe", "request", np.array([b""], object), "record", 1)
    started = time.monotonic()
    with pytest.raises(LiverSegError, match="DEADLINE_EXCEEDED") as caught:
        transport.call(request)
    assert time.monotonic() - started < 20
    assert "\n" not in str(caught.value)


def test_a_tls_handshake_that_never_ends_is_left(serve_bytes):
    port = serve_bytes(b"\x16\x03\x03\x40\x00", b"x")  # a record of 16 kB
    address = ServerAddress("rests", "127.0.0.1", port, "liver")
    started = time.monotonic()
    with pytest.raises(LiverSegError, match="no connection within"):
        RestTransport(address, Access(), OPTIONS).call(
            Request("describe", "request", np.array([b""], object), "record", 1)
        )
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "drip",
    [
        (b"", b"x"),
        (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", b""),  # settings of HTTP/2, then silence
        (
            b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
            b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8),
        ),
    ],
    ids=["no HTTP/2", "silence", "pings"],
)
def test_a_grpc_server_that_never_answers_is_left(serve_bytes, drip):
    pytest.importorskip("grpc")
    port = serve_bytes(*drip)
    policy = RetryPolicy(deadline_s=0.3, initial_backoff_s=0.02, max_backoff_s=0.1)
    started = time.monotonic()
    with pytest.raises(LiverSegError, match=r"DEADLINE_EXCEEDED|UNAVAILABLE"):
        ServedModel(
            ServerAddress("grpc", "127.0.0.1", port, "liver"),
            options=OPTIONS,
            retry_policy=policy,
        )
    assert time.monotonic() - started < 20


STATES = ["NaN", '"x"', "1e999", "[]", "9" * 5000, "null"]


@pytest.mark.parametrize("version", STATES)
def test_states_that_are_not_versions_are_one_line(serve_bytes, version):
    body = b'{"model_version_status": [{"version": %s, "state": "AVAILABLE"}]}' % version.encode()
    header = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    port = serve_bytes(header + body, b"")
    transport = RestTransport(ServerAddress("rest", "127.0.0.1", port, "liver"), Access(), OPTIONS)
    with pytest.raises(LiverSegError, match="Received") as caught:
        transport.call(Request("describe", "request", np.array([b""], object), "record"))
    assert "\n" not in str(caught.value)
