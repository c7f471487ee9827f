"""A time limit for a whole exchange with a server, however slowly the server sends."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def time_limit(seconds: float, get_socket: Callable[[], socket.socket | None]) -> Iterator[None]:
    """End an exchange over a socket that takes too long.

    The timeout of a socket starts again with every byte, so that a server that sends a byte now
    and then, or one interim response after another, would never reach it.

    Args:
        seconds: Time limit of the block.
        get_socket: Function that returns the socket of the exchange, which may be open or not. It
            is called when the time is over, and its socket is shut down, which wakes the block.

    Raises:
        TimeoutError: If the block took longer.
    """
    expired = threading.Event()

    def shut_down() -> None:
        expired.set()
        opened = get_socket()
        if opened is not None:
            with suppress(OSError):
                # not the method of SSLSocket, which forgets the encryption first
                socket.socket.shutdown(opened, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if expired.is_set():
            raise TimeoutError(f"not finished within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
    if expired.is_set():
        raise TimeoutError(f"not finished within {seconds:g} s")
