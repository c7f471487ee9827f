"""Sockets that end a connection which sends too much before it is answered.

pynetdicom collects a message in memory, however long it is, before it is handed to the program.
"""

import logging
import socket
import ssl
from socketserver import BaseServer

from pynetdicom.transport import ThreadedAssociationServer

LOG = logging.getLogger("liverseg_tf.node")
_HANDSHAKE_S = 30  # also the longest pause of a peer within a message


class _Limited:
    """Part of a socket that counts received bytes.

    Attributes:
        limit: Maximum number of bytes between two calls of `answered`.
        received: Number of bytes since then.
    """

    limit = 1 << 24
    received = 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive bytes.

        Raises:
            OSError: If the peer has sent more than the limit.
        """
        data = super().recv(size, flags)  # type: ignore[misc]
        self.received += len(data)
        if self.received > self.limit:
            LOG.warning("a message of more than %d MiB: connection closed", self.limit >> 20)
            raise OSError("the message is too large")
        return data


class _LimitedSocket(_Limited, socket.socket):
    pass


class _LimitedSSLSocket(_Limited, ssl.SSLSocket):  # type: ignore[misc]
    pass


class LimitedServer(ThreadedAssociationServer):
    """A server of associations whose messages are limited in size.

    The handshake of TLS takes place in the thread of the connection, so that a peer which never
    begins it blocks nobody.

    Attributes:
        limit: Maximum number of bytes of a message.
    """

    limit = 1 << 24

    def shutdown(self) -> None:
        """Stop accepting connections; pynetdicom's own method expects a server that it started."""
        BaseServer.shutdown(self)
        self.server_close()

    def get_request(self):
        """Accept a connection."""
        assert self.socket is not None
        plain, address = self.socket.accept()
        plain.settimeout(_HANDSHAKE_S)
        client: _LimitedSocket | ssl.SSLSocket
        if self.ssl_context is None:
            client = _LimitedSocket(fileno=plain.detach())
        else:
            client = self.ssl_context.wrap_socket(
                plain, server_side=True, do_handshake_on_connect=False
            )
        client.settimeout(_HANDSHAKE_S)
        if isinstance(client, _Limited):  # as `limit_messages` sees to
            client.limit = self.limit
        return client, address


def limit_messages(context: ssl.SSLContext) -> None:
    """Let the sockets of a TLS context count what they receive."""
    context.sslsocket_class = _LimitedSSLSocket


def answered(connection: object) -> None:
    """Begin to count again, because a message was complete.

    Args:
        connection: Socket of the association.
    """
    if isinstance(connection, _Limited):
        connection.received = 0
