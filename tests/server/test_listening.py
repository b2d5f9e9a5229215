import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from server.listening import hand_over

CONNECTIONS = 50


@pytest.fixture
def first() -> Iterator[socket.socket]:
    """A listener that knows of no other, as grpc opens it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def _second(port: int) -> socket.socket:
    listener = socket.create_server(("127.0.0.1", port), reuse_port=True)
    listener.setblocking(False)
    return listener


def _accepted(listener: socket.socket) -> int:
    count = 0
    with ExitStack() as open_ones:
        while True:
            try:
                open_ones.enter_context(listener.accept()[0])
            except BlockingIOError:
                return count
            count += 1


def test_nobody_else_may_listen_before(first: socket.socket) -> None:
    with pytest.raises(OSError, match="in use"):
        _second(first.getsockname()[1])


def test_another_port_is_left_alone(first: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        hand_over(other.getsockname()[1])
    with pytest.raises(OSError, match="in use"):
        _second(first.getsockname()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="the program that chooses is Linux's")
def test_the_later_listener_gets_every_connection(first: socket.socket) -> None:
    address = first.getsockname()
    hand_over(address[1])
    with closing(_second(address[1])) as second, ExitStack() as callers:
        hand_over(address[1])
        for _ in range(CONNECTIONS):
            callers.enter_context(socket.create_connection(address))
        assert (_accepted(first), _accepted(second)) == (0, CONNECTIONS)
        first.close()
        for _ in range(CONNECTIONS):
            callers.enter_context(socket.create_connection(address))
        assert _accepted(second) == CONNECTIONS
        with closing(_second(address[1])) as third:  # the program stays with the port
            for _ in range(CONNECTIONS):
                callers.enter_context(socket.create_connection(address))
            assert (_accepted(second), _accepted(third)) == (0, CONNECTIONS)
