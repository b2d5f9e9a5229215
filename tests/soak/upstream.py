"""The soak's upstream, in a process of its own: every provider has its port, and a given share of requests
meets a fault.

`python -m tests.soak.upstream SEED SHARE` prints one line of JSON, the ports by provider (`""`: where the
state is told, `GET /` or `GET /REQUEST`), and ends when its input does. What a request draws depends on the
seed, the provider, the request and how often it has come there, on nothing else.
"""

import asyncio
import socket
import struct
import sys
from collections import Counter, OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import cast

import msgspec
import uvloop

from tests.soak import answers, says
from tests.soak.answers import Answer, Asked

_REFUSING = 0.1  # seconds in which nobody listens
_KEPT = 2_000  # requests whose faults can still be told
_MAX_BODY = 2**20


@dataclass
class State:
    """What all connections share. `running` counts requests that are being answered."""

    seed: str
    share: float
    running: int = 0
    connections: int = 0
    requests: int = 0
    drawn: Counter[str] = field(default_factory=Counter)
    met: OrderedDict[int, list[str]] = field(default_factory=OrderedDict)

    def draw(self, asked: Asked) -> Answer:
        """What a request is answered with; kept in `drawn` and `met`."""
        met = self.met.setdefault(asked.prompt.request, [])
        if len(self.met) > _KEPT:
            self.met.popitem(last=False)
        random = Random(f"{self.seed}/{asked.provider}/{asked.prompt.request}/{len(met)}")  # noqa: S311
        name, answer = answers.draw(asked, random, self.share)
        self.requests += 1
        self.drawn[name] += 1
        met.append(f"{asked.provider}: {name}")
        return answer

    def told(self, path: str) -> bytes:
        """The state as JSON; with a request's number as the path, what that request met."""
        wanted = path.lstrip("/")
        if wanted.isdigit():
            return msgspec.json.encode(self.met.get(int(wanted), []))
        names = ("running", "connections", "requests", "drawn")
        return msgspec.json.encode({name: getattr(self, name) for name in names})


class Listener:
    """The port of one provider, held while nobody listens on it."""

    def __init__(self, state: State, provider: str) -> None:
        self.state = state
        self.provider = provider
        # Bound and never listening: nobody else can be given the port meanwhile.
        self._holder = _bound(0)
        self.port: int = self._holder.getsockname()[1]
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Begins to listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), sock=_bound(self.port))

    def refuse(self) -> None:
        """Refuses connections for a while."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        loop = asyncio.get_running_loop()
        loop.call_later(_REFUSING, lambda: loop.create_task(self.listen()))


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


class _Connection(asyncio.Protocol):
    """Reads requests, one after the other, and plays what is drawn for each."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._buffer = b""
        self._gone = asyncio.Event()
        self._flushed = asyncio.Event()
        self._flushed.set()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)  # so that "flushed" means with the kernel
        if self._listener.provider:
            self._listener.state.connections += 1

    def connection_lost(self, _: Exception | None) -> None:
        self._gone.set()
        self._flushed.set()
        if self._listener.provider:
            self._listener.state.connections -= 1

    def pause_writing(self) -> None:
        self._flushed.clear()

    def resume_writing(self) -> None:
        self._flushed.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._next()

    def _next(self) -> None:
        """Takes the next request where it is there in full."""
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        request_line, *headers = head.split(b"\r\n")
        pairs = (header.lower().split(b":", 1) for header in headers)
        length = next((int(value) for name, value in pairs if name == b"content-length"), 0)
        if len(rest) < length:
            return
        body, self._buffer = rest[:length], rest[length:]
        path = request_line.split()[1].decode()
        self._task = asyncio.get_running_loop().create_task(self._answer(path, body))

    async def _answer(self, path: str, body: bytes) -> None:
        state = self._listener.state
        if not self._listener.provider:
            told = state.told(path)
            await self._play(Answer((b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(told), told)))
        else:
            state.running += 1
            try:
                stream = bool(msgspec.json.decode(body).get("stream"))
                text = not path.endswith("/chat/completions")
                asked = Asked(self._listener.provider, says.read_prompt(body[:_MAX_BODY]), stream, text)
                await self._play(state.draw(asked))
            finally:
                state.running -= 1
        self._task = None
        if not self._gone.is_set():
            self._next()

    async def _play(self, answer: Answer) -> None:
        blocks = answer.blocks if answer.pause else (b"".join(answer.blocks),)
        for block in blocks:
            self._transport.write(block)
            await self._flushed.wait()
            if answer.pause:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._gone.wait(), answer.pause)
            if self._gone.is_set():
                return
        if answer.ending == "silence":
            await self._gone.wait()
        elif answer.ending == "close":
            self._transport.close()
            await self._gone.wait()
        elif answer.ending != "keep":
            self._reset()
            if answer.ending == "refuse":
                self._listener.refuse()
            await self._gone.wait()

    def _reset(self) -> None:
        """Ends the connection with RST."""
        plug: socket.socket = self._transport.get_extra_info("socket")
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


async def _serve(seed: str, share: float) -> None:
    state = State(seed, share)
    listeners = [Listener(state, provider) for provider in ("", *says.PROVIDERS)]
    for listener in listeners:
        await listener.listen()
    ports = {listener.provider: listener.port for listener in listeners}
    sys.stdout.write(msgspec.json.encode(ports).decode() + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], float(sys.argv[2])))
