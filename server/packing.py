"""Bodies that come packed: servers pack also where they are asked not to."""

import zlib

from server.errors import AttemptFailed

_PIECE = 64 * 1024  # bytes that are unpacked at once, however many there are
_EITHER = zlib.MAX_WBITS | 32  # zlib finds out whether it is gzip or its own format


class Unpacker:
    """Unpacks a body of one or more parts in pieces. https://www.rfc-editor.org/rfc/rfc1952#section-2.2

    `left` is what is still to be unpacked of what was given.
    """

    def __init__(self) -> None:
        self._part = zlib.decompressobj(_EITHER)
        self.left = b""

    def unpack(self, packed: bytes) -> bytes:
        """The next piece, perhaps empty. Raises `AttemptFailed`."""
        if self._part.eof:
            self._part = zlib.decompressobj(_EITHER)
        try:
            piece = self._part.decompress(packed, _PIECE)
        except zlib.error:
            raise AttemptFailed(
                "broken_answer", "answered with something that cannot be unpacked"
            ) from None
        self.left = self._part.unused_data.lstrip(b"\0") if self._part.eof else self._part.unconsumed_tail
        return piece


def unpacker(encoding: str) -> Unpacker | None:
    """What unpacks a body of an encoding. Raises `AttemptFailed` for one that is not known."""
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return Unpacker()
        case _:
            raise AttemptFailed("broken_answer", "answered in an encoding that nobody asked for")
