"""The chunks of one stream of a provider of our own contract, read and completed."""

import time
from collections.abc import Iterator
from typing import Generic, TypeVar
from uuid import uuid4

from interference.v1.completion_pb2 import ChatCompletionChunk
from server.drivers import answers
from server.drivers.base import Target
from server.drivers.openai.calls import CallIndexes
from server.drivers.remote import reading
from server.operations import Chunk

C = TypeVar("C", bound=Chunk)


class ChunkReader(Generic[C]):
    """Reads the chunks of one stream, of the type `kind`.

    The usage comes in the last chunk, alone, exactly where it was asked for. `done` says that nothing else
    follows.
    """

    def __init__(self, kind: type[C], target: Target, *, include_usage: bool) -> None:
        self._kind = kind
        self._target = target
        self._include_usage = include_usage
        self._id = ""
        self._model = target.model
        self._created = int(time.time())
        self._begun: set[int] = set()
        self._calls: dict[int, CallIndexes] = {}
        self._last: C | None = None  # what the usage is told with
        self._named = False  # whether it was told who answers there

    def feed(self, data: bytes) -> Iterator[C]:
        """Reads a message. Raises `AttemptFailed` for one that is no chunk."""
        chunk = reading.parsed(self._kind, data)
        reading.tell(chunk, self._target, name=not self._named)
        self._named = self._named or bool(chunk.provider)
        self._complete(chunk)
        answers.number(chunk)
        if isinstance(chunk, ChatCompletionChunk):
            self._settle(chunk)
        if chunk.HasField("usage"):
            self._last = answers.usage_apart(chunk)
        if chunk.choices or chunk.HasField("extra"):
            yield chunk

    def end(self) -> Iterator[C]:
        """Takes the end of the stream."""
        if self._last is not None and self._include_usage:
            yield self._last

    def _complete(self, chunk: C) -> None:
        is_chat = isinstance(chunk, ChatCompletionChunk)
        self._id = self._id or chunk.id or f"{'chatcmpl' if is_chat else 'cmpl'}-{uuid4().hex}"
        chunk.id = self._id
        chunk.object = "chat.completion.chunk" if is_chat else "text_completion"
        self._model = chunk.model = chunk.model or self._model
        self._created = chunk.created = chunk.created or self._created
        chunk.provider = self._target.row.id

    def _settle(self, chunk: ChatCompletionChunk) -> None:
        """The role is said in the first delta of a choice alone; each tool call has an id, and a place."""
        for choice in chunk.choices:
            delta = choice.delta
            if choice.index in self._begun:
                delta.ClearField("role")
            else:
                self._begun.add(choice.index)
                delta.role = delta.role or "assistant"
            if delta.tool_calls:
                self._calls.setdefault(choice.index, CallIndexes()).settle(delta.tool_calls)
