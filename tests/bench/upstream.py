"""An upstream that answers at once and costs little: canned bytes over a raw protocol, in its own process.

`python -m tests.bench.upstream` prints its port. A call for a stream gets 64 chunks in one burst, or what
the prompt says: `chunks=16 pace=10` are 16 chunks with 10 ms between them.
"""

import asyncio
import json
import re
import signal
import sys
from functools import lru_cache
from typing import Any, cast

import uvloop

ANSWER = 620  # bytes of a whole answer's JSON
FIRST, WORD = "The ", "word "
_MOST = 4096  # chunks of a stream
_KEPT = 4096  # bytes of a body that are looked at, at its beginning and at its end
_SCRIPT = re.compile(rb"chunks=(\d{1,4}) pace=(\d{1,4})")
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d{1,12})", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
_HEAD = b"HTTP/1.1 200 OK\r\n"
_END = b"0\r\n\r\n"


def _whole() -> bytes:
    def body(text: str) -> bytes:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 20, "completion_tokens": 80, "total_tokens": 100}
        return json.dumps(_envelope("chat.completion") | {"choices": [choice], "usage": usage}).encode()

    return body(FIRST.ljust(ANSWER - len(body("")), "."))


def _envelope(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "m"}


def _event(delta: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    data = json.dumps(_envelope("chat.completion.chunk") | {"choices": [choice]}).encode()
    return _block(b"data: %s\n\n" % data)


def _block(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@lru_cache(maxsize=16)
def events(chunks: int) -> tuple[bytes, ...]:
    """The chunks of a stream: one with the role, those with a word, one with the finish reason. The last
    has the end of the answer with it.
    """
    words = [_event({"content": WORD})] * (chunks - 2)
    last = _event({}, "stop") + _block(b"data: [DONE]\n\n") + _END
    return (_event({"role": "assistant", "content": ""}), *words, last)


def _json(body: bytes) -> bytes:
    return _HEAD + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


_STREAMED = _HEAD + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_UNARY = _json(_whole())
_MODELS = _json(
    b'{"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]}'
)


@lru_cache(maxsize=16)
def _burst(chunks: int) -> bytes:
    return _STREAMED + b"".join(events(chunks))


def text_of(chunks: int) -> str:
    """What the chunks of a stream say together."""
    return WORD * (chunks - 2)


class _Canned(asyncio.Protocol):
    def __init__(self) -> None:
        self._head = b""  # of a request, until it is whole
        self._left = -1  # bytes of the body that have not come; -1: the head has not
        self._chunked = False
        self._begin = self._end = b""  # of the body
        self._get = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            length = _LENGTH.search(head)
            self._left, self._chunked = int(length[1]) if length else 0, bool(_CHUNKED.search(head))
            self._get, self._begin, self._end = head.startswith(b"GET "), b"", b""
        if len(self._begin) < _KEPT:
            self._begin += data[:_KEPT]
        self._end = (self._end + data[-_KEPT:])[-_KEPT:]
        self._left = max(self._left - len(data), 0)
        if self._end.endswith(_END) if self._chunked else not self._left:
            self._head, self._left = b"", -1  # who asks waits for the answer before asking again
            self._answer()

    def _answer(self) -> None:
        if self._get:
            self._transport.write(_MODELS)
            return
        if not (_STREAM.search(self._begin) or _STREAM.search(self._end)):
            self._transport.write(_UNARY)
            return
        script = _SCRIPT.search(self._begin) or _SCRIPT.search(self._end)
        chunks, pace = (int(script[1]), int(script[2])) if script else (64, 0)
        chunks = min(max(chunks, 2), _MOST)
        if not pace:
            self._transport.write(_burst(chunks))
            return
        self._transport.write(_STREAMED)
        self._send(events(chunks), 0, asyncio.get_running_loop().time(), pace / 1000)

    def _send(self, blocks: tuple[bytes, ...], place: int, began: float, pace: float) -> None:
        """Sends a chunk, and sees to the next at its time, however late this one was."""
        if self._transport.is_closing():
            return
        self._transport.write(blocks[place])
        if place + 1 < len(blocks):
            when = began + (place + 1) * pace
            asyncio.get_running_loop().call_at(when, self._send, blocks, place + 1, began, pace)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Canned, "127.0.0.1", 0, backlog=1024)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve())
