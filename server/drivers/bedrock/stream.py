"""The events of a stream of Converse's as chunks.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from uuid import uuid4

from interference.v1.completion_pb2 import ChatCompletionChunk
from server.drivers import answers
from server.drivers.base import Target
from server.drivers.bedrock import failures, reading, told
from server.drivers.bedrock.framing import FAULT
from server.drivers.bedrock.pieces import Open, begun
from server.errors import AttemptFailed

Members = dict[str, Any]
_MOST: Final = 1000  # blocks of an answer that are open, and events that are not known; nobody has as many


class ConverseDecoder:
    """Reads the events of one stream. `done` is set by the metadata, which are the last.

    The chunk that says why it ended waits for them: they tell what belongs to it, and come with it.
    """

    def __init__(self, target: Target, *, include_usage: bool) -> None:
        self._target = target
        self._include_usage = include_usage
        self._head = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time())}
        self._role_said = False
        self._open: dict[int, Open] = {}
        self._calls = 0
        self._finish: Members | None = None
        self._own: Members = {}  # what the events tell that is Bedrock's own
        self._told: Members = {}  # the metadata
        self.done = False
        self._readers: dict[bytes, Callable[[Members], Iterator[ChatCompletionChunk]]] = {
            b"messageStart": self._start,
            b"contentBlockStart": self._block,
            b"contentBlockDelta": self._delta,
            b"contentBlockStop": self._stop,
            b"messageStop": self._ended,
            b"metadata": self._metadata,
        }

    def feed(self, events: Sequence[bytes]) -> Iterator[ChatCompletionChunk]:
        """Reads events that arrived together, as `EventStream` cuts them."""
        for event in events:
            name, _, payload = event.partition(b"\n")
            if name.startswith(FAULT):
                word = name.removeprefix(FAULT).decode(errors="replace")
                raise failures.of_event(word, payload, self._target)
            read = self._readers.get(name)
            if read is not None:
                yield from read(reading.members(answers.decode(payload)))
            elif name != b"initial-response":
                self._keep(name.decode(errors="replace"), answers.try_decode(payload))

    def end(self) -> Iterator[ChatCompletionChunk]:
        """Takes the end of the stream."""
        if self._finish is None:
            return
        more = told.rest(self._own | self._told, "usage", "p")
        counted = self._told.get("usage")
        usage = None if counted is None else told.usage(counted)
        choice, self._finish = self._finish, None
        yield self._chunk([{"index": 0, "delta": self._role(), **choice}], more)
        if self._include_usage and usage is not None:
            yield self._chunk([], {"usage": usage})

    def _start(self, _: Members) -> Iterator[ChatCompletionChunk]:
        if not self._role_said:
            yield self._piece({"content": ""})

    def _block(self, event: Members) -> Iterator[ChatCompletionChunk]:
        start = reading.members(event.get("start"))
        block = begun(start, self._calls)
        if block.call is not None:
            self._calls += 1
        self._place(event, block)
        if delta := block.start():
            yield self._piece(delta)

    def _delta(self, event: Members) -> Iterator[ChatCompletionChunk]:
        delta = reading.members(event.get("delta"))
        if "text" in delta:
            yield self._piece({"content": reading.text(delta["text"])})
            return
        index = reading.count(event.get("contentBlockIndex"))
        block = self._open.get(index)
        if block is None:
            block = begun({}, self._calls)
            self._place(event, block)
        if piece := block.add(delta):
            yield self._piece(piece)

    def _stop(self, event: Members) -> Iterator[ChatCompletionChunk]:
        block = self._open.pop(reading.count(event.get("contentBlockIndex")), None)
        if block is not None and (delta := block.stop()):
            yield self._piece(delta)

    def _ended(self, event: Members) -> Iterator[ChatCompletionChunk]:
        for index in list(self._open):
            yield from self._stop({"contentBlockIndex": index})
        self._finish = told.finish(event.get("stopReason"))
        if (fields := event.get("additionalModelResponseFields")) is not None:
            self._own["additionalModelResponseFields"] = fields
        if self._told:
            yield from self._finished()

    def _metadata(self, event: Members) -> Iterator[ChatCompletionChunk]:
        self._told = event
        if self._finish is not None:
            yield from self._finished()

    def _finished(self) -> Iterator[ChatCompletionChunk]:
        self.done = True
        yield from self.end()

    def _place(self, event: Members, block: Open) -> None:
        if len(self._open) == _MOST or self._calls > _MOST:
            raise AttemptFailed(answers.BROKEN, f"answered in more than {_MOST} blocks at once")
        self._open[reading.count(event.get("contentBlockIndex"))] = block

    def _keep(self, name: str, told: Any) -> None:
        if len(self._own) == _MOST:
            raise AttemptFailed(answers.BROKEN, f"sent more than {_MOST} events that are not known")
        self._own.setdefault(name, told)

    def _role(self) -> Members:
        """The role, once."""
        said, self._role_said = self._role_said, True
        return {} if said else {"role": "assistant"}

    def _piece(self, delta: Members) -> ChatCompletionChunk:
        return self._chunk([{"index": 0, "delta": self._role() | delta}], {})

    def _chunk(self, choices: list[Members], more: Members) -> ChatCompletionChunk:
        chunk = answers.lift(ChatCompletionChunk, {**self._head, "choices": choices, **more})
        chunk.object = "chat.completion.chunk"
        answers.complete(chunk, self._target)
        return chunk
