"""The hostile upstream: on real sockets, it injects a fault at a stage of an otherwise good answer.

The path says which: `/{fault}/{stage}/v1/...`; `/good/-/v1/...` has no fault. Faults at the stage `connect`
have ports of their own, because they come before the path is read.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.background import served, unreachable
from tests.hostile import answers
from tests.hostile.answers import GOOD, POISON, Answer
from tests.hostile.call import Call, Hurt, reset
from tests.hostile.faults import FAULTS
from tests.programs import wait_until

T = TypeVar("T")
_UNUSED = "http://127.0.0.1:1"  # nobody listens there


@dataclass
class Hostile:
    """A running upstream. `asked` has, by the seed of a request, the faults that were asked with it."""

    loop: asyncio.AbstractEventLoop
    url: str = ""
    connecting: dict[str, str] = field(default_factory=dict)  # addresses for the faults at `connect`
    elsewhere: str = ""  # where redirects lead
    asked: defaultdict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    led: list[str] = field(default_factory=list)  # what arrived elsewhere
    answering: dict[int, str] = field(default_factory=dict)  # the faults that are being played
    idle: set[asyncio.StreamWriter] = field(default_factory=set)

    def address(self, fault: str, stage: str) -> str:
        """The base URL of a fault at a stage."""
        base = self.connecting[fault] if stage == "connect" else self.url
        return f"{base}/{fault}/{stage}/v1"

    @property
    def ports(self) -> set[int]:
        """The ports it listens on."""
        urls = (self.url, self.elsewhere, *self.connecting.values())
        return {int(url.rpartition(":")[2]) for url in urls}

    def hang_up(self) -> None:
        """Closes the connections over which nothing is asked."""

        async def close() -> None:
            for writer in self.idle:
                writer.close()

        self._run(close())

    def settled(self, connections: Callable[[], object]) -> None:
        """Waits until no fault is being played and, once this end hangs up, no connection is left."""
        wait_until(lambda: not self.answering, lambda: f"callers are still there: {self.answering}")
        self.hang_up()
        wait_until(lambda: not connections(), lambda: f"connections are left: {connections()}")

    def speak_unasked(self) -> int:
        """Sends an answer over each connection over which nothing is asked; says over how many."""

        async def send() -> int:
            for writer in self.idle:
                writer.write(answers.whole(POISON).plain())
            return len(self.idle)

        return self._run(send())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of a connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, Hurt):
            while not writer.is_closing():
                self.idle.add(writer)
                try:
                    request = await reader.readuntil(b"\r\n\r\n")
                finally:
                    self.idle.discard(writer)
                await self._answer(request, reader, writer)
        writer.close()

    async def _answer(
        self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        request_line, *lines = request.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))))
        _, fault, stage, _ = request_line.split()[1].split("/", 3)
        self.asked[body.get("seed", 0)].append(fault)
        answer = _answer(GOOD if fault == "good" else answers.TEXT, body)
        call = Call(answer, stage, headers, self.elsewhere, reader, writer, stream=bool(body.get("stream")))
        if fault == "good":
            await call.send(answer.plain())
            return
        number = id(call)
        self.answering[number] = f"{fault}.{stage}"
        try:
            async with call.watched():
                await call.send(answer.before(stage))
                await FAULTS[fault](call)
        finally:
            del self.answering[number]

    async def serve_elsewhere(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What no request must ever reach."""
        self.led.append((await reader.read(65536)).decode("latin-1"))
        writer.write(answers.whole(POISON).plain())
        writer.close()


def _answer(text: str, body: dict[str, Any]) -> Answer:
    return (answers.streamed if body.get("stream") else answers.whole)(text, body["model"])


async def _reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def _close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _listen(handle: Callable[..., Coroutine[Any, Any, None]]) -> tuple[asyncio.Server, str]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=2**20, backlog=1000)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@contextmanager
def hostile_upstream() -> Iterator[Hostile]:
    """Serves in a thread of its own."""
    loop = asyncio.new_event_loop()
    upstream = Hostile(loop)

    async def begin() -> list[asyncio.Server]:
        handlers = (upstream.serve, upstream.serve_elsewhere, _reset, _close)
        servers = [await _listen(handle) for handle in handlers]
        upstream.url, upstream.elsewhere, *others = (url for _, url in servers)
        upstream.connecting |= dict(zip(("reset", "close"), others, strict=True))
        return [server for server, _ in servers]

    with served(begin, loop), unreachable() as nowhere:
        upstream.connecting |= {"silence": nowhere, "refuse": _UNUSED}
        yield upstream
