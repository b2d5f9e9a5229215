"""Server-sent events: framing that survives any split of the bytes.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from collections.abc import Iterator


class EventTooLong(Exception):  # noqa: N818 - says what is wrong better
    """An event is longer than the limit."""


class EventReader:
    """Splits a stream of bytes into events and gives each event's data.

    Lines end in LF, CRLF or CR; comments and the fields `event`, `id` and `retry` are passed over;
    several data lines of an event are joined by LF. What stands after the last blank line is an
    unfinished event, given by `close`, because some upstreams end without the blank line.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._first = True

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Takes the next bytes; gives the data of each event that they complete."""
        buffer = self._rest + block
        if self._first and len(buffer) >= 3:
            self._first = False
            buffer = buffer.removeprefix(b"\xef\xbb\xbf")
        # A CR at the very end may be half of a CRLF: it waits for the next bytes.
        held = b"\r" if buffer.endswith(b"\r") else b""
        lines = _lines(buffer[: len(buffer) - len(held)])
        self._rest = lines.pop() + held
        if len(self._rest) + self._size > self._limit:
            raise EventTooLong
        for line in lines:
            if (data := self._line(line)) is not None:
                yield data

    def close(self) -> Iterator[bytes]:
        """Takes the end of the stream."""
        rest, self._rest = self._rest.rstrip(b"\r"), b""
        for line in (rest, b""):
            if (data := self._line(line)) is not None:
                yield data

    def _line(self, line: bytes) -> bytes | None:
        if not line:
            if not self._data:
                return None
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            self._data, self._size = [], 0
            return data
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
            if self._size > self._limit:
                raise EventTooLong
        return None


def _lines(buffer: bytes) -> list[bytes]:
    """The lines of a buffer; the last is the unfinished one, perhaps empty."""
    if b"\r" in buffer:
        buffer = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return buffer.split(b"\n")
