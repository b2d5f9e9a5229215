"""Server-sent events of Google's. An error in their midst may stand there as bare JSON, line by line."""

from typing import Final

from server.sse import EventReader

_FIELDS: Final = (b"data", b"event", b"id", b"retry", b"")  # the last is that of a comment
_MARK: Final = b"\xef\xbb\xbf"


class GeminiEvents(EventReader):
    """Reads a line that is no event's as data."""

    def _line(self, line: bytes) -> bytes | None:
        if line and line.partition(b":")[0].removeprefix(_MARK) not in _FIELDS:
            line = b"data: " + line
        return super()._line(line)
