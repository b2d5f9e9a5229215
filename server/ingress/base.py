"""What a chat dialect on the way in translates: its requests to the contract, and the answers back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.error_pb2 import ErrorResponse


class Answer(Protocol):
    """Writes one answer in the dialect; one instance a request, made from what the request said.

    A whole answer is `whole` alone. A stream is `chunk` for each chunk in turn and then either `end` or
    `failed`, once; what they give is server-sent events, ready to send, or nothing where none is due yet.
    """

    def whole(self, completion: ChatCompletion) -> bytes:
        """The body of a whole answer: one JSON object."""
        ...

    def chunk(self, chunk: ChatCompletionChunk) -> bytes:
        """The events that a chunk makes."""
        ...

    def end(self) -> bytes:
        """The events that end a stream that went well."""
        ...

    def failed(self, failure: ErrorResponse) -> bytes:
        """The events that end a stream that failed after it had begun."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the contract has it, whether it asks for a stream, and who writes its answer.

    `names` says which member of the dialect a field of the contract was, for errors over it. `hints` are
    fields that agents send as a matter of course: where nobody takes them, the request is asked without.
    """

    request: CreateCompletionRequest
    stream: bool
    answer: Answer
    names: Mapping[str, str] = field(default_factory=dict)
    hints: tuple[str, ...] = ()


# Reads a request's body. Raises `InvalidRequest`, whose `param` is the dialect's own name of the field.
Reader = Callable[[bytes], Asked]
