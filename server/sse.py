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
        self._rest: list[bytes] = []  # the unfinished line, in the blocks in which it came
        self._rest_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._cr = False  # whether the last block ended in a CR, perhaps half of a CRLF
        self._first = True

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Takes the next bytes; gives the data of each event that they complete."""
        if self._cr and block:
            block, self._cr = b"\r" + block, False
        if block.endswith(b"\r"):
            block, self._cr = block[:-1], True
        if b"\n" not in block and b"\r" not in block:
            self._keep(block)
            return
        lines = _lines(b"".join((*self._rest, block)))
        self._rest, self._rest_size = [], 0
        self._keep(lines.pop())
        for line in lines:
            if (data := self._line(line)) is not None:
                yield data

    def close(self) -> Iterator[bytes]:
        """Takes the end of the stream."""
        for line in (b"".join(self._rest), b""):
            if (data := self._line(line)) is not None:
                yield data
        self._rest = []

    def _keep(self, piece: bytes) -> None:
        self._rest.append(piece)
        self._rest_size += len(piece)
        if self._rest_size + self._data_size > self._limit:
            raise EventTooLong

    def _line(self, line: bytes) -> bytes | None:
        if self._first:
            line, self._first = line.removeprefix(b"\xef\xbb\xbf"), False
        if not line:
            if not self._data:
                return None
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            self._data, self._data_size = [], 0
            return data
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._data_size += len(line)
            if self._data_size > self._limit:
                raise EventTooLong
        return None


def _lines(buffer: bytes) -> list[bytes]:
    """The lines of a buffer; the last is the unfinished one, perhaps empty."""
    if b"\r" in buffer:
        buffer = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return buffer.split(b"\n")
