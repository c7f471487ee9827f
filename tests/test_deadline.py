import socket
import threading
import time

import pytest

from liverseg_tf.deadline import time_limit


def test_a_block_in_time_is_not_disturbed():
    here, there = socket.socketpair()
    with here, there:
        with time_limit(5, lambda: here):
            there.sendall(b"x")
            assert here.recv(1) == b"x"
        there.sendall(b"y")
        assert here.recv(1) == b"y"
    with pytest.raises(KeyError), time_limit(5, lambda: None):
        raise KeyError


def test_a_peer_that_sends_a_byte_now_and_then_is_left():
    here, there = socket.socketpair()

    def drip():
        try:
            while True:
                there.sendall(b"x")
                time.sleep(0.01)
        except OSError:
            pass

    threading.Thread(target=drip, daemon=True).start()
    here.settimeout(5)
    started = time.monotonic()
    with here, there, pytest.raises(TimeoutError, match=r"within 0\.1 s"):
        _read_all(here)
    assert time.monotonic() - started < 20


def test_a_block_without_a_socket_is_told_when_it_ends():
    with pytest.raises(TimeoutError), time_limit(0.02, lambda: None):
        time.sleep(0.1)


def _read_all(here):
    with time_limit(0.1, lambda: here):
        while here.recv(100):
            pass
