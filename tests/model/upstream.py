"""The providers of the model, on real sockets: each plays what it is told with the next request."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from tests.hostile.answers import CHUNKED, JSON, OK, STREAMED, chunk, data, event, head
from tests.hostile.call import reset
from tests.model.scripts import Play

_PIECES = 3  # of a text
_BREATH = 0.02  # seconds between content and an RST, which takes with it what was not read yet
_ERROR = {"error": {"message": "overloaded", "type": "server_error", "code": 500}}


@dataclass(eq=False)
class Seen:
    """A request as a provider saw it. Times are those of the event loop."""

    provider: str
    number: int
    authorization: str
    timeout: float | None
    began: float
    resent: bool  # refused on a kept connection without being counted: it may come again
    ended: float | None = None
    left: bool = False  # whether the other side hung up before the end

    @property
    def pieces(self) -> list[str]:
        """The text that it answers with."""
        return [f"{self.provider}{self.number}.{piece} " for piece in range(_PIECES)]


class Upstream:
    """All providers. `seen` has the requests in the order in which they came."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self.seen: list[Seen] = []
        self._plays: dict[str, list[Play]] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._idle: dict[asyncio.StreamWriter, str] = {}
        self._serving: set[asyncio.Task[None]] = set()

    async def play(self, plays: Mapping[str, Sequence[Play]]) -> None:
        """Says what each does from now on."""
        self.seen.clear()
        for provider, sequence in plays.items():
            self._plays[provider] = list(sequence)
            if sequence[0].end != "refuse":
                await self.listen(provider)
            else:
                await self._refuse(provider)

    @property
    def running(self) -> list[Seen]:
        """The requests that are being answered."""
        return [seen for seen in self.seen if seen.ended is None]

    async def listen(self, provider: str) -> None:
        """Takes connections, on the same port each time."""
        if provider in self._servers:
            return

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._serve(provider, reader, writer)
            writer.close()

        port = self.ports.get(provider, 0)
        self._servers[provider] = server = await asyncio.start_server(serve, "127.0.0.1", port)
        self.ports[provider] = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Ends everything."""
        for provider in list(self._servers):
            await self._refuse(provider)
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _refuse(self, provider: str) -> None:
        """Listens no more, and ends the connections that nothing is asked over."""
        if (server := self._servers.pop(provider, None)) is not None:
            server.close()
        for writer in [writer for writer, of in self._idle.items() if of == provider]:
            writer.close()

    async def _serve(
        self, provider: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        kept = False
        while not writer.is_closing():
            self._idle[writer] = provider
            try:
                request = await reader.readuntil(b"\r\n\r\n")
            finally:
                del self._idle[writer]
            _, *lines = request.decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            play = self._plays[provider][0]
            if play.end == "refuse":
                return
            seen = self._note(provider, headers, kept and play == Play("reset"))
            await self._answer(
                seen, play, _Answer(reader, writer, seen.pieces, stream=bool(body.get("stream")))
            )
            kept = True

    def _note(self, provider: str, headers: Mapping[str, str], resent: bool) -> Seen:
        plays = self._plays[provider]
        if len(plays) > 1 and not resent:
            del plays[0]
        given = headers.get("x-request-timeout")
        seen = Seen(
            provider,
            sum(not one.resent for one in self.seen if one.provider == provider),
            headers.get("authorization", ""),
            None if given is None else float(given),
            asyncio.get_running_loop().time(),
            resent,
        )
        self.seen.append(seen)
        return seen

    async def _answer(self, seen: Seen, play: Play, answer: "_Answer") -> None:
        playing, watching = asyncio.create_task(answer.play(play)), asyncio.create_task(answer.gone())
        try:
            await asyncio.wait((playing, watching), return_when=asyncio.FIRST_COMPLETED)
            seen.left = not playing.done()
        finally:
            for task in (playing, watching):
                task.cancel()
            await asyncio.gather(playing, watching, return_exceptions=True)
            seen.ended = asyncio.get_running_loop().time()
        if self._plays[seen.provider][0].end == "refuse":
            await self._refuse(seen.provider)
            answer.writer.close()
        if seen.left:
            answer.writer.close()


@dataclass
class _Answer:
    """An answer that is being given."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    pieces: list[str]
    stream: bool

    async def gone(self) -> None:
        """Returns when the other side has hung up; it sends nothing before the answer's end."""
        with suppress(ConnectionError):
            await self.reader.read(1)

    async def play(self, play: Play) -> None:
        """Answers."""
        await asyncio.sleep(play.after)
        if play.end == "status":
            await self._send(_status(play))
            return
        blocks = self._blocks()
        for block in blocks[: ("start", "role", "content").index(play.stage)]:
            await self._send(block)
        match play.end:
            case "whole":
                await self._send(b"".join(blocks[2:]) + chunk(b""))
            case "silence":
                await asyncio.Event().wait()
            case "reset":
                await asyncio.sleep(_BREATH)
                reset(self.writer)
            case "error":
                told = json.dumps(_ERROR).encode()
                await self._send(chunk(data(told) if self.stream else told) + chunk(b""))
            case "cut":
                await self._send(chunk(b""))

    def _blocks(self) -> list[bytes]:
        """The head with what comes before the content, the first content, and the rest."""
        if not self.stream:
            body = json.dumps(_completion("".join(self.pieces))).encode()
            half = len(body) // 2
            return [head(OK, JSON, CHUNKED), chunk(body[:half]), chunk(body[half:])]
        role = event(delta={"role": "assistant", "content": ""})
        first, *rest = [event(delta={"content": piece}) for piece in self.pieces]
        end = event(finish_reason="stop") + data(b"[DONE]")
        return [head(OK, STREAMED, CHUNKED) + chunk(role), chunk(first), chunk(b"".join(rest) + end)]

    async def _send(self, block: bytes) -> None:
        self.writer.write(block)
        await self.writer.drain()


def _completion(text: str) -> dict[str, object]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "up-1", "object": "chat.completion", "created": 5, "model": "m", "choices": [choice]}


def _status(play: Play) -> bytes:
    body = json.dumps({"error": {"message": f"status {play.status}", "type": "t", "code": None}}).encode()
    lines = [f"HTTP/1.1 {play.status} Told", JSON, f"content-length: {len(body)}"]
    if play.retry_after is not None:
        lines.append(f"retry-after: {play.retry_after:g}")
    return head(*lines) + body


@asynccontextmanager
async def upstream(providers: Iterable[str]) -> AsyncIterator[Upstream]:
    """Providers that listen on ports of their own."""
    running = Upstream()
    for provider in providers:
        await running.listen(provider)
    try:
        yield running
    finally:
        await running.close()
