"""A real gRPC server in the test's own event loop: our interceptor, our servicers and driver, and behind
them the scripted upstream on real sockets.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.rpc.status_pb2 import Status

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub, add_ChatServicer_to_server
from interference.v1.error_pb2 import ErrorResponse
from interference.v1.messages_pb2_grpc import add_MessagesServicer_to_server
from interference.v1.responses_pb2_grpc import add_ResponsesServicer_to_server
from server import app, transport
from server.config import Secrets
from server.interceptors import Edge
from server.routes import Catalog
from server.routing.router import Router
from server.rows import Breaker, Row
from server.services.chat import Chat
from server.services.messages import Messages
from server.services.responses import Responses
from tests.programs import wait_until
from tests.upstream import CONTENT, Call, Upstream, script

if TYPE_CHECKING:  # in the stubs alone
    from interference.v1.chat_pb2_grpc import ChatAsyncStub

LATE = 10.0  # seconds after which a test fails
REST = (("x-envoy-original-path", "/v1/chat/completions"),)  # as Envoy marks what it has transcoded
SCRIPTS = ("ok", "400", "500", "half", "silent", "cut-later", "flood")
STANDS = threading.Event()  # set when nobody takes more of the flood


@script
async def flood(call: Call) -> None:
    """Content, and more of it, as long as somebody reads."""
    call.begin()
    while True:
        call.delta(content=CONTENT[0] * 1000)
        try:
            async with asyncio.timeout(0.2):
                await call.writer.drain()
        except TimeoutError:
            STANDS.set()
            await call.writer.drain()  # fails when the caller has gone


@dataclass(frozen=True)
class Served:
    """A running server, a channel to it, and the lines of its log."""

    server: grpc.aio.Server
    edge: Edge
    channel: grpc.aio.Channel
    lines: asyncio.Queue[bytes]

    @property
    def chat(self) -> "ChatAsyncStub":
        """The Chat service."""
        return ChatStub(self.channel)

    async def line(self) -> dict[str, Any]:
        """The next line of the log."""
        async with asyncio.timeout(LATE):
            line = await self.lines.get()
        assert line.endswith(b"\n")
        told: dict[str, Any] = json.loads(line)
        return told


@asynccontextmanager
async def served(upstream: Upstream, *keys: str) -> AsyncIterator[Served]:
    """Serves providers that are named as their scripts, each with the model `m`."""
    rows = tuple(
        Row(
            id=name,
            driver="openai",
            base_url=f"{upstream.url}/{name}/v1",
            models=("m",),
            probe=False,
            breaker=Breaker(enabled=False),
        )
        for name in SCRIPTS
    )
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    async with transport.connect(2**30) as client:
        router = Router(app.build_roster(Catalog(rows), Secrets({}), client))
        edge = Edge(frozenset(keys), lines.put_nowait)
        server = grpc.aio.server(interceptors=[edge])
        add_ChatServicer_to_server(Chat(router), server)
        add_ResponsesServicer_to_server(Responses(router), server)
        add_MessagesServicer_to_server(Messages(router), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Served(server, edge, channel, lines)
        finally:
            await server.stop(0)


async def run(server: Served, request: CreateCompletionRequest, *, stream: bool, **options: Any) -> None:
    """A call to its end."""
    options = {"timeout": LATE, **options}
    if not stream:
        await server.chat.CreateCompletion(request, **options)
        return
    async for _ in server.chat.StreamCompletion(request, **options):
        pass


def told(error: grpc.aio.AioRpcError) -> ErrorResponse:
    """What an error tells in its details."""
    (details,) = (value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin")
    found = ErrorResponse()
    assert any(packed.Unpack(found) for packed in Status.FromString(details).details)
    return found


async def until_closed(upstream: Upstream) -> None:
    """Waits until the upstream answers nobody any more."""
    await asyncio.to_thread(wait_until, lambda: not upstream.open, lambda: "still open", LATE)


def asked(*providers: str, **fields: Any) -> CreateCompletionRequest:
    """A conversation for these providers."""
    messages: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
    return CreateCompletionRequest(model="m", providers=providers, messages=messages, **fields)
