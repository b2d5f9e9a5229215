"""The events of a stream of OpenAI's, for every operation that streams."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar
from uuid import uuid4

from google.protobuf.struct_pb2 import Struct

from server.drivers import answers
from server.drivers.base import Target
from server.drivers.openai import deltas, wire
from server.drivers.openai.deltas import Piece, TextEvent
from server.errors import AttemptFailed
from server.operations import Chunk

C = TypeVar("C", bound=Chunk)


class StreamDecoder(Generic[C]):
    """Reads the events of one stream. `done` is set by `[DONE]`.

    The usage comes in the last chunk, alone, exactly where it was asked for: upstreams attach it to the
    last choice (Mistral), to every chunk (vLLM), or send it unasked. A subclass reads one chunk;
    one that knows events of plain text says those in a chunk that is the same.
    """

    _ids = ""  # what the ids begin with that are ours, where the upstream gives none
    _member = ""  # what the choices of a chunk have, beside their index

    def __init__(self, target: Target, *, include_usage: bool) -> None:
        self._target = target
        self._include_usage = include_usage
        self._id = ""
        self._model = target.model
        self._created = int(time.time())
        self._last: C | None = None  # what the usage is told with
        # What was added before there were choices: Azure's filters, without an id.
        self._early: Struct | None = None
        self._finished = self._told = False
        self.done = False

    def _read(self, decoded: dict[str, Any]) -> C:
        raise NotImplementedError

    def _said(self, text: str, padding: str | None, event: TextEvent) -> C:
        raise NotImplementedError

    def feed(self, events: Sequence[bytes]) -> Iterator[C]:
        """Reads the data of events that arrived together. What came before a fault is given before it."""
        for piece in deltas.joined(map(self._piece, events)):
            if isinstance(piece.rest, TextEvent):
                yield self._said(piece.text or "", piece.padding, piece.rest)
                continue
            chunk = self._read(deltas.together(piece, piece.rest))
            if "choices" in chunk.extra.fields:
                raise AttemptFailed(answers.BROKEN, "sent choices of another shape")
            if not chunk.choices and not self._finished and not chunk.HasField("usage"):
                self._keep_early(chunk)
                continue
            self._complete(chunk)
            if chunk.HasField("usage"):
                self._last = answers.usage_apart(chunk)
            if chunk.choices or chunk.HasField("extra"):
                yield chunk
            self._finished = self._finished or any(choice.finish_reason for choice in chunk.choices)
            if self._finished and not chunk.choices:  # nothing can follow but the end, which may be late
                yield from self.end()

    def end(self) -> Iterator[C]:
        """Takes the end of the stream."""
        if self._last is not None and self._include_usage and not self._told:
            self._told = True
            yield self._last

    def _keep_early(self, chunk: C) -> None:
        if chunk.HasField("extra"):
            self._early = Struct() if self._early is None else self._early
            self._early.MergeFrom(chunk.extra)

    def _piece(self, event: bytes) -> Piece | None:
        if event.strip() == b"[DONE]":
            self.done = True
            return None
        otherwise = "sent an event that is not a JSON object"
        return deltas.apart(wire.read(event, self._target, self._member, otherwise))

    def _complete(self, chunk: C) -> None:
        chunk.ClearField("routing")
        chunk.id = self._named(chunk.id)
        self._model = chunk.model = chunk.model or self._model
        chunk.provider = self._target.row.id
        self._created = chunk.created = chunk.created or self._created
        self._add_early(chunk)

    def _named(self, theirs: str | None) -> str:
        """The id of the answer, the same in every chunk."""
        self._id = theirs or self._id or f"{self._ids}{uuid4().hex}"
        return self._id

    def _add_early(self, chunk: C) -> None:
        if self._early is not None:
            chunk.extra.MergeFrom(self._early)
            self._early = None
