"""A client's connection over HTTP/1.1 that costs as little as Python can: one call at a time, no checks."""

import asyncio
import time
from typing import cast

_HEAD_END, _LAST = b"\r\n\r\n", b"\r\n0\r\n\r\n"


class Answer:
    """An answer as it comes. Times are those of `time.perf_counter`."""

    def __init__(self, marker: bytes) -> None:
        self.first = 0.0  # when the first bytes came that had the marker in them; 0: none had
        self.whole = False
        self._marker = marker
        self._data = bytearray()
        self._body = 0  # where it begins; 0: the head has not ended
        self._length = -1  # of the body; -1: it ends with a chunk of no bytes, or with the connection
        self._chunked = False

    def feed(self, data: bytes) -> None:
        """Takes what came. It sets `whole` at the end."""
        if not self.first and self._marker in data:
            self.first = time.perf_counter()
        self._data += data
        if not self._body and not self._read_head():
            return
        if self._chunked:
            self.whole = self._data.endswith(_LAST)
        elif self._length >= 0:
            self.whole = len(self._data) >= self._body + self._length

    def close(self) -> None:
        """The connection has ended, and with it an answer that does not tell its length."""
        self.whole = self.whole or (self._body > 0 and self._length < 0 and not self._chunked)

    @property
    def status(self) -> int:
        """The HTTP status; 0 where no answer has begun."""
        return int(self._data[9:12]) if len(self._data) >= 12 else 0

    @property
    def body(self) -> bytes:
        """The body, its chunks joined."""
        raw = bytes(self._data[self._body :])
        return _joined(raw) if self._chunked else raw

    @property
    def keeps(self) -> bool:
        """Whether the connection can be used again."""
        return b"connection: close" not in self._data[: self._body].lower() and (
            self._chunked or self._length >= 0
        )

    @property
    def events(self) -> int:
        """How many events there are in it, the last word not counted."""
        return self._data.count(b"data: ") - self._data.count(b"data: [DONE]")

    def _read_head(self) -> bool:
        end = self._data.find(_HEAD_END)
        if end < 0:
            return False
        self._body = end + len(_HEAD_END)
        for line in bytes(self._data[:end]).lower().split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name == b"content-length":
                self._length = int(value)
            elif name == b"transfer-encoding":
                self._chunked = b"chunked" in value
        return True


def _joined(raw: bytes) -> bytes:
    """The data of chunks. Raises `ValueError` where they are none."""
    parts, place = [], 0
    while place < len(raw):
        end = raw.index(b"\r\n", place)
        size = int(raw[place:end].partition(b";")[0], 16)
        parts.append(raw[end + 2 : end + 2 + size])
        place = end + 2 + size + 2
        if not size:
            break
    return b"".join(parts)


class Connection(asyncio.Protocol):
    """A connection that is opened where it is not, also after a server has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._waiting: asyncio.Future[None] | None = None

    async def call(self, request: bytes, marker: bytes) -> Answer:
        """Sends a request and waits for the whole answer. Raises `ConnectionError` where it breaks off."""
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            await loop.create_connection(lambda: self, *self._address)
        assert self._transport is not None
        self._answer, self._waiting = answer, waiting = Answer(marker), loop.create_future()
        self._transport.write(request)
        await waiting
        if not answer.keeps:
            self.close()
        return answer

    def close(self) -> None:
        """Closes it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._answer is not None and self._waiting is not None:
            self._answer.feed(data)
            if self._answer.whole and not self._waiting.done():
                self._waiting.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._answer is None or self._waiting is None or self._waiting.done():
            return
        self._answer.close()
        if self._answer.whole:
            self._waiting.set_result(None)
        else:
            self._waiting.set_exception(exc or ConnectionError("the connection ended within an answer"))
