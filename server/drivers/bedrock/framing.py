"""AWS's event streams: binary frames, each with headers, a payload and checksums. AWS's library reads them.

https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from server.drivers import answers
from server.errors import AttemptFailed
from server.sse import EventTooLong

if TYPE_CHECKING:
    from collections.abc import Iterator

FAULT: Final = b"!"  # begins the name of an event that tells of an error
_PRELUDE: Final = 12  # bytes: two lengths and their checksum
_LEAST: Final = _PRELUDE + 4  # bytes of a frame without headers and payload


class EventStream:
    """Cuts a stream of bytes into events: the name of each, a line break, and its payload.

    Raises `EventTooLong`, and `AttemptFailed` for frames that are none; what came before a fault is given
    before it.
    """

    media_type: ClassVar[str] = "application/vnd.amazon.eventstream"

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()  # the unfinished frame
        self._wanted = _PRELUDE  # bytes until there is more to be read
        self._fault: Exception | None = None

    def feed(self, block: bytes) -> list[bytes]:
        """Takes the next bytes; gives the events that they complete."""
        if self._fault is not None:
            raise self._fault
        self._rest += block
        if len(self._rest) < self._wanted:
            return []
        events: list[bytes] = []
        try:
            self._cut(bytes(self._rest), events)
        except (EventTooLong, AttemptFailed) as error:
            if not events:
                raise
            self._fault = error
        return events

    def close(self) -> Iterator[bytes]:
        """Takes the end of the stream."""
        if self._fault is not None:
            raise self._fault
        if self._rest:
            raise AttemptFailed(answers.BROKEN, "ended its stream in the middle of an event")
        yield from ()

    def _cut(self, data: bytes, events: list[bytes]) -> None:
        at, wanted = 0, _PRELUDE
        while len(data) - at >= _PRELUDE:
            wanted = _length(data[at : at + _PRELUDE], self._limit)
            if len(data) - at < wanted:
                break
            events.append(_read(data[at : at + wanted]))
            at, wanted = at + wanted, _PRELUDE
        self._rest, self._wanted = bytearray(data[at:]), wanted


def _length(prelude: bytes, limit: int) -> int:
    """How long the frame is that begins so."""
    _message(prelude)
    length = int.from_bytes(prelude[:4])
    if length < _LEAST:
        raise AttemptFailed(answers.BROKEN, "sent a frame that is too short")
    if length > limit:
        raise EventTooLong
    return length


def _read(frame: bytes) -> bytes:
    message = _message(frame)
    if message is None:
        raise AttemptFailed(answers.BROKEN, "sent a frame whose lengths do not fit")
    headers = message.headers
    kind = headers.get(":message-type")
    if kind == "error":
        told = msgspec.json.encode({"message": _text(headers.get(":error-message"))})
        return FAULT + _name(headers.get(":error-code")) + b"\n" + told
    if kind == "exception":
        return FAULT + _name(headers.get(":exception-type")) + b"\n" + bytes(message.payload)
    return _name(headers.get(":event-type")) + b"\n" + bytes(message.payload)


def _message(data: bytes) -> Any:
    """The message that the bytes are, None where they are the beginning of one. Raises `AttemptFailed`."""
    # Only who asks AWS pays for its library.
    from botocore.eventstream import EventStreamBuffer, ParserError

    buffer = EventStreamBuffer()
    buffer.add_data(data)
    try:
        return next(buffer, None)
    except (ParserError, struct.error, LookupError, ValueError):
        raise AttemptFailed(answers.BROKEN, "sent a frame that is not of an event stream") from None


def _name(value: Any) -> bytes:
    """A name of one line."""
    return _text(value).encode().replace(b"\n", b" ")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
