"""An upstream that answers at once and costs little: canned bytes over a raw protocol, in its own process.

`python -m tests.bench.upstream` prints its port. A request for a stream gets 64 chunks in one burst.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

CHUNKS = 64
_WORDS = "The quick brown fox jumps over the lazy dog and runs on. " * 7


def _message() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": _WORDS}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 20, "completion_tokens": 80, "total_tokens": 100}
    envelope = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
    return json.dumps(envelope | {"choices": [choice], "usage": usage}).encode()


def _events() -> bytes:
    envelope = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
    choices += [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}] * (CHUNKS - 2)
    choices += [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    events = [b"data: %s\n\n" % json.dumps(envelope | {"choices": [c]}).encode() for c in choices]
    blocks = [b"%x\r\n%s\r\n" % (len(event), event) for event in [*events, b"data: [DONE]\n\n"]]
    return b"".join(blocks) + b"0\r\n\r\n"


_BODY = _message()
UNARY = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_BODY) + _BODY
)
STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + _events()
)


class _Canned(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = self._buffer[:head].lower().split(b"\r\n")
            lengths = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")]
            end = head + 4 + sum(lengths)
            if len(self._buffer) < end:
                return
            body, self._buffer = self._buffer[head + 4 : end], self._buffer[end:]
            self._transport.write(STREAM if b'"stream":true' in body else UNARY)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Canned, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
