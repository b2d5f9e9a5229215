"""The events of a stream of OpenAI's, for every operation that streams."""

import time
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, Generic, TypeVar

from google.protobuf.struct_pb2 import Struct

from server.drivers.base import Target
from server.drivers.openai import deltas, wire
from server.errors import AttemptFailed
from server.operations import Chunk

C = TypeVar("C", bound=Chunk)


class StreamDecoder(Generic[C]):
    """Reads the events of one stream. `done` is set by `[DONE]`.

    The usage comes in the last chunk, alone, exactly where it was asked for: upstreams attach it to the
    last choice (Mistral), to every chunk (vLLM), or send it unasked. A subclass reads one chunk.
    """

    _id: str
    _member = ""  # what the choices of a chunk have, beside their index

    def __init__(self, target: Target, *, include_usage: bool) -> None:
        self._target = target
        self._include_usage = include_usage
        self._model = target.model
        self._created = int(time.time())
        self._last: C | None = None  # what the usage is told with
        self._early = Struct()  # what was added before there were choices: Azure's filters, without an id
        self._finished = self._told = False
        self.done = False

    def _read(self, decoded: dict[str, Any]) -> C:
        raise NotImplementedError

    def feed(self, events: Sequence[bytes]) -> Iterator[C]:
        """Reads the data of events that arrived together. What came before a fault is given before it."""
        for decoded in deltas.joined(self._decoded(events)):
            chunk = self._read(decoded)
            if "choices" in chunk.extra.fields:
                raise AttemptFailed(wire.BROKEN, "sent choices of another shape")
            if not chunk.choices and not self._finished and not chunk.HasField("usage"):
                self._early.MergeFrom(chunk.extra)
                continue
            self._complete(chunk)
            if chunk.HasField("usage"):
                self._keep_usage(chunk)
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

    def _keep_usage(self, chunk: C) -> None:
        """Takes the usage out of a chunk; of one that has nothing else, all of it."""
        self._last = last = copy(chunk)
        last.ClearField("choices")
        chunk.ClearField("usage")
        if chunk.choices:
            last.ClearField("extra")
        else:
            chunk.ClearField("extra")

    def _decoded(self, events: Sequence[bytes]) -> Iterator[dict[str, Any]]:
        for event in events:
            if event.strip() == b"[DONE]":
                self.done = True
                return
            yield wire.read(event, self._target, self._member, "sent an event that is not a JSON object")

    def _complete(self, chunk: C) -> None:
        chunk.ClearField("error")
        chunk.ClearField("attempts")
        chunk.ClearField("routing")
        self._id = chunk.id = chunk.id or self._id
        self._model = chunk.model = chunk.model or self._model
        chunk.provider = self._target.row.id
        self._created = chunk.created = chunk.created or self._created
        if self._early.fields:
            chunk.extra.MergeFrom(self._early)
            self._early.Clear()
