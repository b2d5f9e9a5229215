"""A small plug-in on a real socket: a provider of our own contract that chats, and does what a test wants.

The model that is asked for names the script. What arrived is kept in `seen`, the oldest first.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk

CREATE = "/interference.v1.Chat/CreateCompletion"
STREAM = "/interference.v1.Chat/StreamCompletion"
WORDS = ("Hello", " from", " the", " plug-in.")
TEXT = "".join(WORDS)
_PATIENCE = 10.0  # seconds to begin, and to end


@dataclass(frozen=True)
class Seen:
    """A call that arrived. Names of metadata are in lower case."""

    method: str
    request: CreateCompletionRequest
    metadata: dict[str, str]
    remaining: float | None  # seconds until its deadline

    @property
    def stream(self) -> bool:
        """Whether a stream was asked for."""
        return self.method == STREAM


@dataclass(frozen=True)
class Asked:
    """A call that is being answered."""

    seen: Seen
    context: Any

    async def fail(self, code: grpc.StatusCode, words: str, trailers: Any = ()) -> None:
        """Ends it with a status."""
        await self.context.abort(code, words, trailers)


Script = Callable[[Asked], AsyncGenerator[bytes, None]]
SCRIPTS: dict[str, Script] = {}


def script(function: Script) -> Script:
    """Makes a function the script of its name, with `-` for `_`."""
    SCRIPTS[function.__name__.replace("_", "-")] = function
    return function


def whole(**fields: Any) -> bytes:
    """A whole answer."""
    return ChatCompletion(**fields).SerializeToString()


def chunk(content: str | None = None, finish_reason: str | None = None, **fields: Any) -> bytes:
    """A chunk with one choice."""
    choices: Any = [{"delta": {"content": content}, "finish_reason": finish_reason}]
    return ChatCompletionChunk(**{"choices": choices, **fields}).SerializeToString()


@script
async def ok(asked: Asked) -> AsyncGenerator[bytes, None]:
    """No more than a plug-in must say."""
    if not asked.seen.stream:
        choices: Any = [{"message": {"content": TEXT}}]
        yield whole(choices=choices)
        return
    for word in WORDS:
        yield chunk(word)
    yield chunk(finish_reason="stop")


@script
async def silent(_: Asked) -> AsyncGenerator[bytes, None]:
    """Says nothing until the caller leaves."""
    await asyncio.Event().wait()
    yield b""


@script
async def half(_: Asked) -> AsyncGenerator[bytes, None]:
    """Begins, and says no more until the caller leaves."""
    yield chunk(WORDS[0])
    await asyncio.Event().wait()


@dataclass
class Plugin:
    """A plug-in that has these methods."""

    methods: Sequence[str] = (CREATE, STREAM)
    scripts: dict[str, Script] = field(default_factory=lambda: dict(SCRIPTS))
    seen: list[Seen] = field(default_factory=list)
    open: int = 0  # calls that are being answered

    @asynccontextmanager
    async def serving(
        self, address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
    ) -> AsyncIterator[str]:
        """Serves, and gives host:port."""
        server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
        server.add_generic_rpc_handlers((_Handlers(self),))
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(0)

    @contextmanager
    def running(
        self, address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
    ) -> Iterator[str]:
        """The same in a thread of its own."""
        loop, stop = asyncio.new_event_loop(), asyncio.Event()
        started = threading.Event()
        found: list[str] = []

        async def serve() -> None:
            async with self.serving(address, credentials) as served:
                found.append(served)
                started.set()
                await stop.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        assert started.wait(_PATIENCE)
        try:
            yield found[0]
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(_PATIENCE)
            loop.close()

    async def play(self, data: bytes, context: Any, method: str) -> AsyncGenerator[bytes, None]:
        """Does what the script of the model does."""
        request = CreateCompletionRequest.FromString(data)
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        seen = Seen(method, request, metadata, context.time_remaining())
        self.seen.append(seen)
        self.open += 1
        try:
            async with aclosing(self.scripts[request.model](Asked(seen, context))) as messages:
                async for message in messages:
                    yield message
        finally:
            self.open -= 1


class _Handlers(grpc.GenericRpcHandler):
    """Handlers of bytes, so that a script may send what no message is."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of a method; none of one that the plug-in does not have."""
        method = handler_call_details.method
        if method not in self._plugin.methods:
            return None

        async def unary(data: bytes, context: Any) -> bytes:
            async with aclosing(self._plugin.play(data, context, method)) as messages:
                return await anext(messages)

        async def stream(data: bytes, context: Any) -> AsyncGenerator[bytes, None]:
            async with aclosing(self._plugin.play(data, context, method)) as messages:
                async for message in messages:
                    yield message

        if method == STREAM:
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)
