"""The address on which the server listens, and who may reach it."""

import socket
from collections.abc import Mapping
from pathlib import Path

from liverseg_tf.errors import LiverSegError, SettingsError, reason_of
from liverseg_tf.network_host import is_loopback
from liverseg_tf.plural import count
from liverseg_tf.serve.client.address import TOKEN_VARIABLE, Access, read_token

VARIABLE = "LIVERSEG_SERVER_TOKEN"  # another one than that for models on TensorFlow Serving
_SHORTEST_TOKEN = 16


def read_server_token(environment: Mapping[str, str], file: Path | None) -> str | None:
    """Read the token of the server from a file, or else from the variable LIVERSEG_SERVER_TOKEN.

    Args:
        environment: Environment variables, usually `os.environ`.
        file: Text file with the token.

    Raises:
        LiverSegError: If the file cannot be read or is empty.
        SettingsError: If the token has other characters than printable ASCII.
    """
    given = {TOKEN_VARIABLE: environment.get(VARIABLE, "")}
    return Access(read_token(given, file)).token


def check_access(host: str, token: str | None, without_token: bool) -> None:
    """Check that only this machine, or who knows a token, reaches the server.

    Args:
        host: Address on which the server listens.
        token: Token that requests must carry.
        without_token: Whether everybody who reaches the address may use the server.

    Raises:
        SettingsError: If there is no token, or a short one, on an address other than loopback.
    """
    if is_loopback(host):
        return
    if token is None and not without_token:
        raise SettingsError(
            f"Expected a token for --host {host}, because every machine that reaches this address "
            f"could read the images and change the labels. Set --token-file or {VARIABLE}, or "
            "--without-token if a proxy checks who it is."
        )
    if token is not None and len(token) < _SHORTEST_TOKEN:
        raise SettingsError(
            f"Expected a token of at least {_SHORTEST_TOKEN} characters for --host {host}. "
            f"Received {count(len(token), 'character')}."
        )


def listen(host: str, port: int) -> socket.socket:
    """Open the socket of the server.

    Args:
        host: Name or address.
        port: Port; 0 finds one.

    Raises:
        LiverSegError: If the address or the port cannot be used.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(address[0]), port), family=family)
    except (OSError, UnicodeError) as error:
        raise LiverSegError(
            f"Expected to listen on {host}, port {port}. Received: {reason_of(error)}: choose "
            "another --port, or --host."
        ) from error
