"""Contexts for TLS: for the listener of a node, and for its own connections to others."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.errors import LiverSegError, SettingsError, reason_of
from liverseg_tf.serve.node.network.limited_socket import limit_messages


@dataclass(frozen=True)
class TlsFiles:
    """Files for encrypted connections, all of them PEM.

    Args:
        certificate: Certificate of this node, with those of its authorities.
        key: Private key of the certificate, if it is not in the same file.
        authorities: Certificates that verify other nodes; if they are given, nodes that connect
            must have a certificate, too. None stands for the authorities of the system, for
            outgoing connections only.
        outgoing: Whether connections to other nodes are encrypted.
    """

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None
    outgoing: bool = False

    def server_context(self) -> ssl.SSLContext | None:
        """Return the context of the listener; None if it does not encrypt.

        Raises:
            SettingsError: If there is a key, or authorities for incoming connections, without a
                certificate.
            LiverSegError: If a file cannot be used.
        """
        if self.certificate is None:
            if self.key is not None or (self.authorities is not None and not self.outgoing):
                raise SettingsError(
                    "Expected --tls-cert FILE beside --tls-key and --tls-ca. Without a "
                    "certificate, the node cannot encrypt."
                )
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        limit_messages(context)
        self._load(context)
        if self.authorities is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self) -> ssl.SSLContext | None:
        """Return the context of outgoing connections; None if they are not encrypted.

        Raises:
            LiverSegError: If a file cannot be used.
        """
        if not self.outgoing:
            return None
        context = ssl.create_default_context()
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self.certificate is not None:
                # an empty password: a question on the terminal would stop a service for ever
                context.load_cert_chain(self.certificate, self.key, password="")
            if self.authorities is not None:
                context.load_verify_locations(self.authorities)
        except (OSError, ValueError) as error:
            names = ", ".join(
                str(file) for file in (self.certificate, self.key, self.authorities) if file
            )
            raise LiverSegError(
                f"Expected certificates and an unencrypted key (PEM) in {names}. Received: "
                f"{reason_of(error)}."
            ) from error
