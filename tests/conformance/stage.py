"""A server on which a `Speaker` answers: every POST gets what a test has put on the stage.

A vendor's own SDK is pointed at it, and so is a provider of the gateway: `with staged(speaker) as stage`,
then `stage.says(...)`, a call to `stage.url`, and `stage.last()` is what arrived. A GET, which asks for the
list of models, gets what `stage.lists(...)` has said, or a 404, and is not kept.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from tests.background import served
from tests.conformance.said import Said, Speaker, Spoken


@dataclass(frozen=True)
class Seen:
    """A request that arrived. Header names are in lower case; `body` is None where it is no JSON."""

    method: str
    path: str  # with the query, as it was written
    headers: dict[str, str]
    raw: bytes
    body: Any


@dataclass(frozen=True)
class Own:
    """What a dialect says beyond what `Said` knows, such as several choices: whole, and as a stream."""

    whole: Spoken
    stream: Spoken


class Refuses(Protocol):
    """Looks at a request before it is answered; gives the answer to one that the vendor would not take."""

    def __call__(self, seen: Seen) -> Spoken | None: ...


@dataclass(frozen=True)
class _Act:
    """What is played: an answer whole, one as a stream, and whether it breaks off in the middle."""

    whole: Callable[[], Spoken]
    stream: Callable[[], Spoken]
    cut: bool = False


@dataclass
class Stage:
    """A running stage."""

    speaker: Speaker
    url: str = ""
    refuses: Refuses | None = None
    seen: list[Seen] = field(default_factory=list, init=False)
    _act: _Act | None = field(default=None, init=False, repr=False)
    _list: Spoken | None = field(default=None, init=False, repr=False)

    def lists(self, models: Spoken) -> None:
        """From now on it answers with this list of models."""
        self._list = models

    def says(self, said: Said | Own) -> None:
        """From now on it answers with this."""
        self._act = self._acting(said)

    def cuts(self, said: Said | Own) -> None:
        """From now on it begins to answer with this, and drops the connection in the middle."""
        act = self._acting(said)
        self._act = _Act(act.whole, act.stream, cut=True)

    def fails(self, word: str) -> None:
        """From now on it answers with this error of the vendor's."""
        self._act = _Act(lambda: self.speaker.fault(word), lambda: self.speaker.fault(word))

    def breaks(self, said: Said, word: str) -> None:
        """From now on its streams begin to say this, and then tell of this error."""
        self._act = _Act(lambda: self.speaker.fault(word), lambda: self.speaker.breaks(said, word))

    def last(self) -> Seen:
        """What arrived last."""
        return self.seen[-1]

    def _acting(self, said: Said | Own) -> _Act:
        if isinstance(said, Own):
            return _Act(lambda: said.whole, lambda: said.stream)
        return _Act(lambda: self.speaker.whole(said), lambda: self.speaker.stream(said))

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET" and self._list is not None:
            return await _whole(request, self._list)
        raw = await request.read()
        body = None
        with suppress(ValueError):
            body = json.loads(raw)
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Seen(request.method, request.raw_path, headers, raw, body)
        if request.method != "POST" or self._act is None:
            return web.Response(status=404)
        self.seen.append(seen)
        if (refused := self.refuses(seen) if self.refuses else None) is not None:
            return await _whole(request, refused)
        if self.speaker.streams(seen.path, body):
            spoken, send = self._act.stream(), _stream
        else:
            spoken, send = self._act.whole(), _whole
        return await send(request, spoken, cut=self._act.cut)


@contextmanager
def staged(speaker: Speaker, refuses: Refuses | None = None) -> Iterator[Stage]:
    """Serves a stage in a thread of its own."""
    stage = Stage(speaker, refuses=refuses)
    keeping: list[asyncio.Task[None]] = []

    async def begin() -> list[asyncio.Server]:
        handler = web.Server(stage._serve)
        server = await asyncio.get_running_loop().create_server(handler, "127.0.0.1", 0)
        stage.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        keeping.append(asyncio.create_task(_until_the_end(handler.shutdown)))
        return [server]

    with served(begin):
        yield stage


async def _until_the_end(close: Callable[[float], Awaitable[None]]) -> None:
    """Waits to be cancelled, and then closes the connections."""
    try:
        await asyncio.Event().wait()
    finally:
        await close(0.1)


async def _whole(request: web.BaseRequest, spoken: Spoken, *, cut: bool = False) -> web.StreamResponse:
    data = b"".join(spoken.blocks)
    response = web.StreamResponse(status=spoken.status, headers=_headers(spoken))
    response.content_length = len(data)
    await response.prepare(request)
    if cut:
        return await _drop(request, response, data[: len(data) // 2])
    await response.write(data)
    await response.write_eof()
    return response


async def _stream(request: web.BaseRequest, spoken: Spoken, *, cut: bool = False) -> web.StreamResponse:
    response = web.StreamResponse(status=spoken.status, headers=_headers(spoken))
    response.enable_chunked_encoding()
    await response.prepare(request)
    for block in spoken.blocks[: len(spoken.blocks) // 2] if cut else spoken.blocks:
        await response.write(block)
        await asyncio.sleep(0)  # so that blocks leave one by one
    if cut:
        return await _drop(request, response, b"")
    await response.write_eof()
    return response


async def _drop(request: web.BaseRequest, response: web.StreamResponse, data: bytes) -> web.StreamResponse:
    if data:
        await response.write(data)
    if request.transport is not None:
        request.transport.close()  # which sends what is buffered first
    return response


def _headers(spoken: Spoken) -> dict[str, str]:
    return {"content-type": spoken.content_type, **spoken.headers}
