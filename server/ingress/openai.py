"""Answers in OpenAI's own format, for callers of REST. Their requests the edge lifts onto the contract.

https://platform.openai.com/docs/api-reference/chat
"""

from interference.v1.error_pb2 import ErrorResponse
from server.forms import printed
from server.operations import Answer, Chunk

_DONE = b"data: [DONE]\n\n"
# What JSON need not escape within a string, and readers that split text into lines take for the end of one.
_LINE_ENDS = tuple((character.encode(), b"\\u%04x" % ord(character)) for character in "\x85\u2028\u2029")


class OpenAIAnswer:
    """Writes an answer of the contract: the fields of its messages are OpenAI's."""

    __slots__ = ()

    def whole(self, answer: Answer) -> bytes:
        """The body of a whole answer."""
        return printed(answer)

    def chunk(self, chunk: Chunk) -> bytes:
        """The event of a chunk."""
        return _event(printed(chunk))

    def end(self) -> bytes:
        """What ends a stream that went well."""
        return _DONE

    def failed(self, failure: ErrorResponse) -> bytes:
        """The event that ends a stream that failed after it had begun."""
        return _event(printed(failure))


def _event(data: bytes) -> bytes:
    if not data.isascii():
        for character, escaped in _LINE_ENDS:
            data = data.replace(character, escaped)
    return b"data: %b\n\n" % data
