"""A scripted upstream on real sockets: OpenAI-compatible where the script says so, and hostile elsewhere.

The first part of the path names the script: a catalog row with the base URL `{url}/{script}/v1` gets what
the script does, at every call. What arrived is kept in `seen`, the oldest first. The script `told` answers
what a test has put into `answers`.
"""

import asyncio
import gzip
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.background import served

CONTENT = ["Hello", " from", " the", " script", "."]
TEXT = "".join(CONTENT)
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
RETRY_AFTER = 7  # seconds, what a 429 asks for


@dataclass(frozen=True)
class Seen:
    """A request that arrived. Header names are in lower case."""

    script: str
    path: str
    headers: dict[str, str]
    body: Any
    raw: bytes = b""  # the body as it arrived


@dataclass(frozen=True)
class Told:
    """What `told` answers: JSON, or the events of a stream. Bytes are sent as they are."""

    whole: Any = None
    events: Sequence[Any] = ()


@dataclass
class Call:
    """A request that is being answered."""

    seen: Seen
    writer: asyncio.StreamWriter
    gone: asyncio.Event  # set when the caller has closed the connection
    first: bool = True  # whether it is the first request on its connection
    told: Told = Told()  # what a test wants answered
    plays: deque[str] = field(default_factory=deque)  # what a test wants done, call by call

    @property
    def stream(self) -> bool:
        """Whether a stream was asked for."""
        return bool(isinstance(self.seen.body, dict) and self.seen.body.get("stream"))

    def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.writer.write(data)

    def answer(
        self, body: Any, status: int = 200, content_type: str = "application/json", **headers: str
    ) -> None:
        """Sends a whole answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} Scripted", f"content-type: {content_type}"]
        lines += [f"content-length: {len(data)}", *(f"{k}: {v}" for k, v in headers.items())]
        self.send("\r\n".join([*lines, "", ""]).encode() + data)

    def begin(self) -> None:
        """Begins a stream of events."""
        self.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )

    def block(self, data: bytes) -> None:
        """Sends a block of the stream."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, **members: Any) -> None:
        """Sends an event of the stream."""
        self.block(b"data: " + json.dumps(members).encode() + b"\n\n")

    def delta(self, finish_reason: str | None = None, **delta: Any) -> None:
        """Sends a chunk with a delta."""
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        self.event(id="up-1", object="chat.completion.chunk", created=5, model="m", choices=[choice])

    def end(self, last: bytes = b"data: [DONE]\n\n") -> None:
        """Ends the stream."""
        if last:
            self.block(last)
        self.send(b"0\r\n\r\n")

    def cut(self) -> None:
        """Closes the connection in the middle of things."""
        self.writer.close()


Script = Callable[[Call], Awaitable[None]]
SCRIPTS: dict[str, Script] = {}


def script(function: Script) -> Script:
    """Makes a function the script of its name, with `-` for `_`."""
    SCRIPTS[function.__name__.removeprefix("_").replace("_", "-")] = function
    return function


@script
async def ok(call: Call) -> None:
    """Answers as a model server does."""
    if call.seen.path.endswith("/models"):
        call.answer({"data": [{"id": "m"}, {"id": "found"}]})
    elif call.stream:
        call.begin()
        call.delta(role="assistant", content="")
        for word in CONTENT:
            call.delta(content=word)
        call.delta(finish_reason="stop")
        if (call.seen.body.get("stream_options") or {}).get("include_usage"):
            call.event(
                id="up-1", choices=[], usage={"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
            )
        call.end()
    else:
        message = {"role": "assistant", "content": TEXT}
        call.answer(
            {
                "id": "up-1",
                "object": "chat.completion",
                "created": 5,
                "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": USAGE,
            }
        )


@script
async def told(call: Call) -> None:
    """Answers what a test has told it to for the model that is asked for; lists no models."""
    if call.seen.path.endswith("/models"):
        call.answer({"data": []})
    elif call.stream:
        call.begin()
        for event in call.told.events:
            data = event if isinstance(event, bytes) else json.dumps(event).encode()
            call.block(b"data: " + data + b"\n\n")
        call.end()
    else:
        call.answer(call.told.whole)


@script
async def played(call: Call) -> None:
    """Does what a test has put next into `plays` for the model: a script, or a status; at last `ok`."""
    await _script(call.plays.popleft() if call.plays else "ok")(call)


@script
async def silent(call: Call) -> None:
    """Takes the request and says nothing until the caller leaves."""
    await call.gone.wait()


@script
async def slow(call: Call) -> None:
    """A stream that takes half a second."""
    call.begin()
    for word in CONTENT:
        call.delta(content=word)
        await call.writer.drain()
        await asyncio.sleep(0.1)
    call.delta(finish_reason="stop")
    call.end()


@script
async def late(call: Call) -> None:
    """Takes a fifth of a second before it answers as a model server does."""
    await asyncio.sleep(0.2)
    await ok(call)


@script
async def endless(call: Call) -> None:
    """Content, and no end of it."""
    said = {"delta": {"content": "a" * 4000}, "text": "a" * 4000}
    del said["text" if "/chat/" in call.seen.path else "delta"]
    call.begin()
    while not call.gone.is_set():
        call.event(id="up-1", model="m", choices=[{"index": 0, **said}])
        await call.writer.drain()


@script
async def shortly(call: Call) -> None:
    """Takes a moment."""
    await asyncio.sleep(0.02)
    await ok(call)


@script
async def half(call: Call) -> None:
    """Sends some content and then nothing until the caller leaves."""
    call.begin()
    call.delta(role="assistant", content=CONTENT[0])
    await call.gone.wait()


@script
async def reset(call: Call) -> None:
    """Drops the connection instead of answering."""
    call.cut()


@script
async def stale(call: Call) -> None:
    """Answers the first request on a connection, and closes the connection at the second."""
    if call.first:
        await ok(call)
    else:
        call.cut()


@script
async def html(call: Call) -> None:
    """A web page with a 200."""
    call.answer(b"<html>Please log in</html>", content_type="text/html")


@script
async def empty(call: Call) -> None:
    """A 200 with nothing in it, or a stream without events."""
    if call.stream:
        call.begin()
        call.end(b"")
    else:
        call.answer(b"")


@script
async def garbage(call: Call) -> None:
    """JSON that is none."""
    if call.stream:
        call.begin()
        call.block(b'data: {"choices": [{]\n\n')
        call.end()
    else:
        call.answer(b'{"choices": [{]')


@script
async def error_first(call: Call) -> None:
    """A stream that begins with a role and an error."""
    call.begin()
    call.delta(role="assistant", content="")
    call.event(error={"message": "overloaded", "code": 503})
    call.end()


@script
async def error_later(call: Call) -> None:
    """A stream that has an error after some content."""
    call.begin()
    call.delta(role="assistant", content=CONTENT[0])
    call.event(error={"message": "overloaded"})
    call.end()


@script
async def cut_later(call: Call) -> None:
    """A stream whose connection drops after some content."""
    call.begin()
    call.delta(role="assistant", content=CONTENT[0])
    call.delta(content=CONTENT[1])
    await call.writer.drain()
    call.cut()


@script
async def no_finish(call: Call) -> None:
    """A stream that ends in order, but never said why it stopped."""
    call.begin()
    call.delta(role="assistant", content=CONTENT[0])
    call.end()


@script
async def redirect(call: Call) -> None:
    """Points elsewhere."""
    call.answer(b"", 302, location=f"{call.seen.headers['x-base']}/ok/v1/chat/completions")


@script
async def image_url(call: Call) -> None:
    """An image by address, whatever was asked for."""
    call.answer({"created": 5, "data": [{"url": "https://images.example/1.png"}]})


@script
async def bomb(call: Call) -> None:
    """A small answer that is large when it is unpacked."""
    packed = gzip.compress(bytes(8 * 2**20))
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"
    call.send(head % len(packed) + packed)


@script
async def endless_headers(call: Call) -> None:
    """Headers, and more of them."""
    call.send(b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: %s\r\n" % (i, b"a" * 1000) for i in range(1000)))


@script
async def endless_line(call: Call) -> None:
    """A stream whose first line does not end."""
    call.begin()
    while not call.gone.is_set():
        call.block(b"a" * 2**20)
        await call.writer.drain()


@script
async def not_http(call: Call) -> None:
    """Something else than HTTP."""
    call.send(b"220 mail.example ESMTP\r\n\r\n")
    call.cut()


@script
async def image_odd(call: Call) -> None:
    """An image that is not base64."""
    call.answer({"created": 5, "data": [{"b64_json": "<html>"}]})


@script
async def no_end(call: Call) -> None:
    """A whole stream that does not end its body."""
    call.begin()
    call.delta(role="assistant", content=TEXT)
    call.delta(finish_reason="stop")
    await call.gone.wait()


@script
async def cut_end(call: Call) -> None:
    """A whole stream whose connection drops instead of ending."""
    call.begin()
    call.delta(role="assistant", content=TEXT)
    call.delta(finish_reason="stop")
    await call.writer.drain()
    call.cut()


@script
async def half_choices(call: Call) -> None:
    """Two choices, of which one never finishes."""
    call.begin()
    for index in (0, 1):
        choice = {"index": index, "delta": {"content": "a"}, "finish_reason": None}
        call.event(id="up-1", model="m", choices=[choice])
    call.delta(finish_reason="stop")
    call.end()


@script
async def roles(call: Call) -> None:
    """Chunks without content, and no end of them."""
    call.begin()
    while not call.gone.is_set():
        for _ in range(100):
            call.delta(role="assistant", content="")
        await call.writer.drain()


@script
async def odd_error(call: Call) -> None:
    """An error beside a choice, as OpenRouter sends it."""
    call.begin()
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    call.event(id="up-1", model="m", choices=[choice], error={"code": 502, "message": "behind me"})
    call.end()


def _script(name: str) -> Script:
    """The script of a name; a number is the status to answer with, and after a slash when to return."""
    status, _, seconds = name.partition("/")
    if not status.isdigit():
        return SCRIPTS[name]
    return lambda call: _status(call, int(status), seconds)


async def _status(call: Call, status: int, seconds: str) -> None:
    error = {"message": f"the script says {status}", "type": "script", "param": "n", "code": f"c{status}"}
    after = seconds or (str(RETRY_AFTER) if status == 429 else "")
    more = {"retry-after": after} if after else {}
    call.answer({"error": error}, status, **more)


@dataclass
class Upstream:
    """A running upstream."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list, init=False, repr=False)
    answers: dict[str, Told] = field(default_factory=dict, init=False, repr=False)  # of `told`, by model
    plays: dict[str, deque[str]] = field(default_factory=dict, init=False, repr=False)  # by model
    open: int = 0  # connections on which a request is being answered
    connections: int = 0  # that were ever opened

    def last(self) -> Seen:
        """What arrived last."""
        return self.seen[-1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            first = True
            while not writer.is_closing():
                await self._one(reader, writer, first=first)
                first = False
        writer.close()

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, first: bool
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.split("\r\n")
        pairs = (line.split(": ", 1) for line in lines if line)
        headers = {name.lower(): value for name, value in pairs}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        path = request_line.split()[1]
        name = path.split("/")[1]
        body = json.loads(raw) if raw else None
        seen = Seen(name, path, {**headers, "x-base": self.url}, body, raw)
        self.seen.append(seen)
        model = body.get("model", "") if isinstance(body, dict) else ""
        told, plays = self.answers.get(model, Told()), self.plays.get(model, deque())
        call = Call(seen, writer, asyncio.Event(), first, told, plays)
        watch = asyncio.create_task(self._watch(reader, call.gone))
        self.open += 1
        try:
            await _script(name)(call)
            await writer.drain()
        finally:
            self.open -= 1
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    @staticmethod
    async def _watch(reader: asyncio.StreamReader, gone: asyncio.Event) -> None:
        """Sees the caller go. Callers do not send a second request before the answer to the first."""
        if not await reader.read(1):
            gone.set()


@contextmanager
def scripted_upstream() -> Iterator[Upstream]:
    """Serves the scripts in a thread of its own."""
    upstream = Upstream()

    async def begin() -> list[asyncio.Server]:
        server = await asyncio.start_server(upstream._serve, "127.0.0.1", 0, limit=2**20)
        upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return [server]

    with served(begin):
        yield upstream
