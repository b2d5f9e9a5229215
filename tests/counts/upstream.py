"""An upstream that answers at once, always with the same bytes in one write, and counts what it is sent."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from tests.background import served

CHUNKS = 64  # of a stream
_ENVELOPE = {"id": "chatcmpl-1", "created": 1_795_402_592, "model": "m"}
_USAGE = {"prompt_tokens": 20, "completion_tokens": 80, "total_tokens": 100}
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,12})", re.IGNORECASE)
_STREAM = re.compile(rb'"stream" *: *true')
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"


@dataclass
class Upstream:
    """What came to a running upstream."""

    url: str = ""
    connections: int = 0
    reads: int = 0
    received: int = 0  # bytes


def event(delta: dict[str, str], reason: str | None = None) -> bytes:
    """The data of an event."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return _json({**_ENVELOPE, "object": "chat.completion.chunk", "choices": [choice]})


def events(count: int = CHUNKS) -> list[bytes]:
    """The data of the events of a stream: one with the role, those with a word, one with the reason."""
    words = [event({"content": "word "})] * (count - 2)
    return [event({"role": "assistant", "content": ""}), *words, event({}, "stop")]


def whole(text: str = "word " * 60) -> bytes:
    """The body of an answer."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _json({**_ENVELOPE, "object": "chat.completion", "choices": [choice], "usage": _USAGE})


@contextmanager
def counting_upstream() -> Iterator[Upstream]:
    """Serves on a free port until the block ends."""
    counts = Upstream()

    async def begin() -> list[asyncio.Server]:
        server = await asyncio.get_running_loop().create_server(lambda: _Canned(counts), "127.0.0.1", 0)
        counts.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        return [server]

    with served(begin):
        yield counts


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _unary() -> bytes:
    body = whole()
    return _HEAD % b"application/json" + b"content-length: %d\r\n\r\n%s" % (len(body), body)


def _streamed() -> bytes:
    body = b"".join(b"data: %s\n\n" % data for data in (*events(), b"[DONE]"))
    head = _HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


class _Canned(asyncio.Protocol):
    _answers = (_unary(), _streamed())

    def __init__(self, counts: Upstream) -> None:
        self._counts = counts
        self._counts.connections += 1
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._counts.reads += 1
        self._counts.received += len(data)
        self._data += data
        head = self._data.find(b"\r\n\r\n")
        length = _LENGTH.search(self._data, 0, head + 2) if head >= 0 else None
        if head < 0 or len(self._data) < head + 4 + (int(length[1]) if length else 0):
            return
        answer = self._answers[bool(_STREAM.search(self._data, head))]
        self._data.clear()  # who asks waits for the answer before asking again
        self._transport.write(answer)
