"""A caller who does not read costs the service little: the provider is kept from writing."""

from __future__ import annotations

import json
import socket
import socketserver
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from tests.calls import TIMEOUT, body
from tests.programs import wait_until
from tests.service import Service, row, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    Opened = Callable[[Service], AbstractContextManager[Any]]

MIB = 2**20
SMALL = 64 * 1024  # bytes of a socket's own buffers, so that less of what is counted is the kernel's
MOST = 32 * MIB  # of a stream: most of it waits in the kernel, which lets a quick connection have megabytes
COST = 2 * MIB  # of the memory of Envoy and the workers, for a caller
MANY = 32  # callers
STEADY = 25  # polls without a byte, after which nothing moves
TEXT = "x" * 4096
CHOICE = {"index": 0, "delta": {"content": TEXT}, "finish_reason": None}
EVENT = b"data: " + json.dumps({"id": "up-1", "model": "m", "choices": [CHOICE]}).encode() + b"\n\n"
BLOCK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass
class Flood:
    """A stream without end: what the upstream got rid of, and whether its caller has left."""

    sent: int = 0  # bytes
    left: threading.Event = field(default_factory=threading.Event)


class Flooding(socketserver.ThreadingTCPServer):
    """An upstream that answers every request with content, until the caller leaves."""

    daemon_threads = True
    request_queue_size = 2 * MANY

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.floods: list[Flood] = []
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Answer(socketserver.StreamRequestHandler):
    server: Flooding

    def handle(self) -> None:
        length = 0
        while line := self.rfile.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        self.rfile.read(length)
        flood = Flood()
        self.server.floods.append(flood)
        try:
            self.connection.sendall(HEAD)
            while True:
                self.connection.sendall(BLOCK)
                flood.sent += len(BLOCK)
        except ConnectionError:
            flood.left.set()


@pytest.fixture(scope="module")
def flooding() -> Iterator[Flooding]:
    with Flooding() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)


@pytest.fixture(scope="module")
def service(flooding: Flooding, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own, with one worker, whose memory nobody else uses."""
    folder: Path = tmp_path_factory.mktemp("service")
    with serving(folder, [row("flood", flooding.url)], workers=1) as running:
        yield running


def _request(path: str, **more: Any) -> bytes:
    data = json.dumps(body("flood", stream=True, **more)).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


@contextmanager
def over_rest(service: Service, path: str = "/v1/chat/completions", **more: Any) -> Iterator[socket.socket]:
    """Asks for a stream over REST, and reads nothing of it."""
    host, _, port = service.envoy.partition(":")
    with socket.socket() as connection:
        connection.settimeout(TIMEOUT)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        connection.connect((host, int(port)))
        connection.sendall(_request(path, **more))
        yield connection


@contextmanager
def over_grpc(address: str) -> Iterator[Any]:
    """Asks for a stream over gRPC, takes one chunk and then no more."""
    messages: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
    request = CreateCompletionRequest(model="m", providers=["flood"], messages=messages)
    # The client's own memory is not what is measured.
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", SMALL)]
    with grpc.insecure_channel(address, options) as channel:
        call = ChatStub(channel).StreamCompletion(request, timeout=10 * TIMEOUT)
        assert next(call).choices
        yield call
        call.cancel()


def _new(flooding: Flooding, since: int, count: int) -> list[Flood]:
    """The streams that have begun since there were so many."""
    wait_until(lambda: len(flooding.floods) >= since + count, lambda: "the upstream was not asked")
    return flooding.floods[since:]


def _stalled(floods: list[Flood]) -> int:
    """Waits until the upstream can write no more; gives how many bytes it got rid of."""
    seen, polls = -1, 0

    def steady() -> bool:
        nonlocal seen, polls
        sent = sum(flood.sent for flood in floods)
        polls = polls + 1 if sent == seen else 0
        seen = sent
        return polls > STEADY or seen > len(floods) * 2 * MOST

    wait_until(steady, lambda: f"the upstream still writes after {seen} bytes", seconds=120)
    return seen


WAYS = [
    pytest.param(over_rest, id="REST"),
    pytest.param(lambda one: over_rest(one, "/v1/messages", max_tokens=5), id="REST, Anthropic's dialect"),
    pytest.param(lambda one: over_grpc(one.envoy), id="gRPC"),
    pytest.param(lambda one: over_grpc(one.worker), id="gRPC to a worker"),
]


@pytest.mark.parametrize("opened", WAYS)
def test_a_caller_who_does_not_read_stops_the_provider(
    service: Service, flooding: Flooding, opened: Opened
) -> None:
    before = len(flooding.floods)
    with opened(service):
        floods = _new(flooding, before, 1)
        assert 0 < _stalled(floods) < MOST
        assert not floods[0].left.is_set()
    assert floods[0].left.wait(TIMEOUT), "the provider's connection stays open"


def test_a_caller_who_reads_again_gets_the_stream_on(service: Service, flooding: Flooding) -> None:
    before = len(flooding.floods)
    with over_rest(service) as connection, connection.makefile("rb") as answer:
        floods = _new(flooding, before, 1)
        stalled = _stalled(floods)
        texts = 0
        while texts * len(TEXT) < stalled + MIB:
            line = answer.readline()
            if line.startswith(b"data: "):
                content = json.loads(line[6:])["choices"][0]["delta"]["content"]
                assert not content.strip("x")
                texts += len(content) // len(TEXT)
        assert floods[0].sent > stalled


def test_callers_who_do_not_read_cost_little_memory(service: Service, flooding: Flooding) -> None:
    with _idle(service, flooding, 1):
        pass
    before = _resident(service)
    with _idle(service, flooding, MANY):
        assert (_resident(service) - before) / MANY < COST


@contextmanager
def _idle(service: Service, flooding: Flooding, count: int) -> Iterator[None]:
    """So many callers who do not read; the block runs when their streams have stalled."""
    before = len(flooding.floods)
    with ExitStack() as callers:
        for _ in range(count):
            callers.enter_context(over_rest(service))
        _stalled(_new(flooding, before, count))
        yield


def _resident(service: Service) -> int:
    """The bytes of memory that the processes of a service have."""
    pids = ",".join(map(str, service.program.descendants()))
    told = subprocess.run(
        ["ps", "-o", "rss=", "-p", pids], capture_output=True, text=True, check=True
    ).stdout
    return 1024 * sum(map(int, told.split()))
