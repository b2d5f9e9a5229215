"""A streamed message: its events make the chunks of a chat completion.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from interference.v1.completion_pb2 import ChatCompletionChunk
from server.drivers import answers
from server.drivers.anthropic import answer as read
from server.drivers.anthropic import wire
from server.drivers.base import Target
from server.drivers.openai import calls
from server.errors import AttemptFailed

Json = dict[str, Any]
_TEXTS = {"text_delta": ("text", "content"), "thinking_delta": ("thinking", "reasoning")}


@dataclass(slots=True)
class _Block:
    """A block that has begun. `pieces` are the texts of its deltas, by the member that they make."""

    start: Json
    call: int | None = None  # which call of a tool it is
    at: int = 0  # where its text begins in the text so far
    pieces: dict[str, list[str]] = field(default_factory=dict)
    citations: list[Any] = field(default_factory=list)
    ended: bool = False

    def add(self, name: str, piece: str) -> None:
        """Takes the next piece of a member."""
        self.pieces.setdefault(name, []).append(piece)

    def so_far(self, name: str) -> str:
        """All of a member."""
        return "".join(self.pieces.get(name, ()))

    def whole(self) -> Json:
        """The block as a whole answer has it."""
        made = dict(self.start)
        for name in self.pieces:
            if name == "input":
                made[name] = answers.try_decode(self.so_far(name).encode() or b"{}")
            else:
                made[name] = self.so_far(name)
        return made | ({"citations": self.citations} if self.citations else {})


class MessageDecoder:
    """Reads the events of one stream. `done` is set by the last.

    Texts that arrive together leave together. The usage comes in a chunk of its own at the end, where it is
    asked for. Events of kinds that are not known say nothing, as the vendor may add such at any time.
    """

    def __init__(self, target: Target, *, include_usage: bool) -> None:
        self.done = False
        self._target = target
        self._include_usage = include_usage
        self._id = f"chatcmpl-{uuid4().hex}"
        self._model = target.model
        self._created = int(time.time())
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._length = 0  # of the text so far
        self._thought = False  # whether there were thoughts
        self._begun = False
        self._ended = False  # whether it was told why
        self._extra: Json = {}  # of the answer, told with its first chunk
        self._usage: Json | None = None
        self._said: list[str] = []  # a text that has not left yet, of the next
        self._saying = ""

    def feed(self, events: Sequence[bytes]) -> Iterator[ChatCompletionChunk]:
        """Reads the data of events that arrived together. What came before a fault is given before it."""
        try:
            for event in events:
                decoded = wire.read(event, self._target)
                yield from self._event(decoded)
                if self.done:
                    break
        except Exception:
            yield from self._spoken()
            raise
        yield from self._spoken()

    def end(self) -> Iterator[ChatCompletionChunk]:
        """Takes the end of the stream."""
        if self._include_usage and self._usage is not None:
            yield self._chunk({"choices": [], **read.usage(self._usage)})
            self._usage = None

    # --- Events ------------------------------------------------------------------------------------

    def _event(self, event: Json) -> Iterator[ChatCompletionChunk]:
        kind = event.get("type")
        if kind == "content_block_delta":
            yield from self._delta(self._block(event), read.member(event, "delta"))
        elif kind == "content_block_start":
            yield from self._start(event)
        elif kind == "content_block_stop":
            yield from self._stop(self._block(event))
        elif kind == "message_start":
            self._message(read.member(event, "message"))
        elif kind == "message_delta":
            yield from self._end_of_message(event)
        elif kind == "message_stop":
            self.done = True

    def _message(self, message: Json) -> None:
        self._id = read.text(message, "id") or self._id
        self._model = read.text(message, "model") or self._model
        self._count(message.get("usage"))
        known = ("id", "type", "role", "model", "content", "usage")
        self._extra |= read.spare(message, *known, "stop_reason", "stop_sequence", "stop_details")

    def _start(self, event: Json) -> Iterator[ChatCompletionChunk]:
        index, start = _index(event), read.member(event, "content_block")
        kind = start.get("type")
        if index in self._blocks or len(self._blocks) >= read.MOST or not isinstance(kind, str):
            raise AttemptFailed(answers.BROKEN, "began a block that it cannot begin")
        block = self._blocks[index] = _Block(start, at=self._length)
        if kind == "tool_use":
            block.call, self._calls = self._calls, self._calls + 1
            call = read.call(start, block.call, "")
            call["id"] = call["id"] or calls.new_id()
            yield from self._tell({"tool_calls": [call]})
        elif kind in ("text", "thinking") and (already := read.text(start, kind)):
            start[kind] = ""
            yield from self._delta(block, {"type": f"{kind}_delta", kind: already})

    def _delta(self, block: _Block, delta: Json) -> Iterator[ChatCompletionChunk]:
        kind = delta.get("type")
        if kind in _TEXTS:
            name, ours = _TEXTS[kind]
            yield from self._say(block, name, ours, read.text(delta, name))
        elif kind == "input_json_delta":
            piece = read.text(delta, "partial_json")
            block.add("input", piece)
            if block.call is not None and piece:
                arguments = {"index": block.call, "function": {"arguments": piece}}
                yield from self._tell({"tool_calls": [arguments]})
        elif kind == "citations_delta":
            block.citations.append(delta.get("citation"))
        else:
            for name, piece in read.spare(delta, "type").items():  # a signature, or what is new
                if isinstance(piece, str):
                    block.add(name, piece)
                else:
                    block.start[name] = piece

    def _say(self, block: _Block, name: str, ours: str, piece: str) -> Iterator[ChatCompletionChunk]:
        if not piece:
            return
        follows = name == "thinking" and self._thought and name not in block.pieces
        block.add(name, piece)
        if name == "text":
            self._length += len(piece)
        else:
            self._thought = True
        if self._saying != ours:
            yield from self._spoken()
            self._saying = ours
        self._said += ("\n" if follows else "", piece)  # as it is between the thoughts of a whole answer

    def _stop(self, block: _Block) -> Iterator[ChatCompletionChunk]:
        if block.ended:
            return
        block.ended = True
        kind = block.start["type"]
        if kind in ("thinking", "redacted_thinking"):
            yield from self._tell({"extra": {"thinking_blocks": [block.whole()]}})
        elif block.citations:
            cited = list(read.annotations(block.citations, block.at, self._length))
            yield from self._tell({"annotations": cited})
        elif block.call is not None and not block.so_far("input"):
            # What takes no arguments streams none; some servers give them at once.
            given = block.start.get("input") or {}
            arguments = {"index": block.call, "function": {"arguments": read.encoded(given)}}
            yield from self._tell({"tool_calls": [arguments]})

    def _end_of_message(self, event: Json) -> Iterator[ChatCompletionChunk]:
        self._count(event.get("usage"))
        delta = read.member(event, "delta")
        if self._ended or delta.get("stop_reason") is None:
            return
        self._ended = True
        for block in list(self._blocks.values()):
            yield from self._stop(block)
        blocks = [block.whole() for _, block in sorted(self._blocks.items())]
        extra = {} if read.is_told_whole(blocks) else {"content_blocks": blocks}
        yield from self._tell(read.adding(extra), read.ending(delta))

    def _count(self, usage: Any) -> None:
        """Takes what was counted so far; what the end of a message does not count again stays."""
        if isinstance(usage, dict):
            self._usage = (self._usage or {}) | read.spare(usage)

    def _block(self, event: Json) -> _Block:
        block = self._blocks.get(_index(event))
        if block is None:
            raise AttemptFailed(answers.BROKEN, "went on with a block that it had not begun")
        return block

    # --- Chunks ------------------------------------------------------------------------------------

    def _spoken(self) -> Iterator[ChatCompletionChunk]:
        """The text that has arrived, if any."""
        if self._said:
            said, self._said = "".join(self._said), []
            yield self._choice({self._saying: said}, {})
        self._saying = ""

    def _tell(self, delta: Json, ending: Json | None = None) -> Iterator[ChatCompletionChunk]:
        yield from self._spoken()
        yield self._choice(delta, ending or {})

    def _choice(self, delta: Json, ending: Json) -> ChatCompletionChunk:
        if not self._begun:
            self._begun = True
            delta = {"role": "assistant"} | delta
        extra, self._extra = self._extra, {}
        return self._chunk({"choices": [{"index": 0, "delta": delta, **ending}], **read.adding(extra)})

    def _chunk(self, members: Json) -> ChatCompletionChunk:
        told = {"id": self._id, "object": "chat.completion.chunk", "model": self._model, **members}
        chunk = answers.lift(ChatCompletionChunk, told)
        if chunk.choices and not chunk.choices[0].HasField("delta"):
            raise AttemptFailed(answers.BROKEN, "streamed something of another shape")
        chunk.created = self._created
        answers.complete(chunk, self._target)
        return chunk


def _index(event: Json) -> int:
    index = event.get("index")
    if not isinstance(index, int) or isinstance(index, bool):
        raise AttemptFailed(answers.BROKEN, "sent an event of no block")
    return index
