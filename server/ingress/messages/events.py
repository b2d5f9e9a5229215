"""A streamed answer as the events of Anthropic's Messages API.

In chat's deltas text, thoughts and several calls may take turns. Anthropic's blocks stand one after
another, each ended before the next begins. So one block is told as it grows, and what belongs to later ones
is held until it ends: a text ends where something else begins, a call there too if its arguments are a
whole JSON object by then, and all of them at the end.
https://platform.claude.com/docs/en/build-with-claude/streaming
"""

import io
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec
from google.protobuf.json_format import MessageToDict

from interference.v1.completion_pb2 import AnswerMessage, ChatCompletion, ChatCompletionChunk, ChunkChoice
from interference.v1.error_pb2 import ErrorResponse
from interference.v1.tool_pb2 import ToolCall
from interference.v1.usage_pb2 import Usage
from server.ingress.additions import gather_call
from server.ingress.chat import calls
from server.ingress.messages import answer
from server.ingress.messages.answer import Ending, Given, Json
from server.ingress.wire import event

_Kind = Literal["thinking", "text", "refusal", "call"]

_encode = msgspec.json.Encoder().encode
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
_END = b"}\n\n"
_PIECES: dict[_Kind, bytes] = {
    "thinking": b'{"type":"thinking_delta","thinking":%b}',
    "text": b'{"type":"text_delta","text":%b}',
    "refusal": b'{"type":"text_delta","text":%b}',
    "call": b'{"type":"input_json_delta","partial_json":%b}',
}
_ERROR_TYPES = (
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "rate_limit_error",
    "timeout_error",
    "overloaded_error",
)


@dataclass(slots=True)
class _Block:
    """A block that is told or will be. `held` are its deltas that have not been told."""

    kind: _Kind
    before: bytes = b""  # what stands before a delta; empty while the block has not begun
    held: list[bytes] = field(default_factory=list)
    ended: bool = False
    # Of a call alone.
    call_id: str = ""
    name: str = ""
    extra: Json = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    form: Literal["", "object", "other"] = ""  # as its first character has it
    checked: bool = False


class MessagesAnswer:
    """Writes one answer in Anthropic's dialect: see `server.ingress.base.Answer`."""

    def __init__(self, model: str, stops: tuple[str, ...] = (), *, shows_thoughts: bool = True) -> None:
        self._given = Given(model, stops, shows_thoughts)
        self._begun = False
        self._index = 0
        self._blocks: list[_Block] = []  # the one that is told, and those after it
        self._calls: dict[int, _Block] = {}
        self._text = io.StringIO()
        self._ending = Ending()
        self._usage = Usage()
        self._out: list[bytes] = []

    def whole(self, completion: ChatCompletion) -> bytes:
        """The body of a whole answer."""
        return _encode(answer.whole(completion, self._given))

    def chunk(self, chunk: ChatCompletionChunk) -> bytes:
        """The events that a chunk makes."""
        if not self._begun:
            self._begin(chunk)
        if chunk.HasField("usage"):
            self._usage = chunk.usage
        for choice in chunk.choices:
            if choice.index == 0:  # more are never asked for
                self._choice(choice)
        return self._told()

    def end(self) -> bytes:
        """The end of the blocks, why the answer ended, and what it cost."""
        if not self._begun:
            self._begin(ChatCompletionChunk())
        while self._blocks:
            self._close()
        delta = answer.stopped(self._ending)
        usage = answer.usage(self._usage)
        self._out.append(event("message_delta", {"type": "message_delta", "delta": delta, "usage": usage}))
        self._out.append(event("message_stop", {"type": "message_stop"}))
        return self._told()

    def failed(self, failure: ErrorResponse) -> bytes:
        """The `error` event, at which Anthropic's SDKs raise."""
        told = MessageToDict(failure, preserving_proto_field_name=True)
        error = {**told.pop("error", {}), "type": error_type(failure.error.type)}
        return event("error", {"type": "error", "error": error, **told})

    def _told(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)

    def _begin(self, chunk: ChatCompletionChunk) -> None:
        message = answer.begun(chunk, self._given)
        self._out.append(event("message_start", {"type": "message_start", "message": message}))
        self._begun = True

    # --- Deltas ------------------------------------------------------------------------------------

    def _choice(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        if delta.reasoning and self._given.shows_thoughts:
            self._say("thinking", delta.reasoning)
        if delta.content:
            self._text.write(delta.content)
            self._say("text", delta.content)
        if delta.annotations:
            self._cite(delta)
        if delta.refusal:
            self._say("refusal", delta.refusal)
        if delta.tool_calls or delta.HasField("function_call"):
            for call in calls(delta):
                self._call(call)
        if choice.finish_reason or choice.HasField("extra") or delta.refusal:
            self._note(choice)

    def _note(self, choice: ChunkChoice) -> None:
        """Keeps what decides why the answer ended."""
        known = self._ending
        self._ending = replace(
            known,
            finish_reason=choice.finish_reason or known.finish_reason,
            stop=known.stop or answer.stop_of(choice.extra, self._given),
            refused=known.refused or bool(choice.delta.refusal),
        )

    def _say(self, kind: _Kind, text: str) -> None:
        block = self._last(kind)
        self._add(block, _PIECES[kind] % _encode(text))

    def _cite(self, delta: AnswerMessage) -> None:
        for citation in answer.citations(delta.annotations, self._cut):
            self._add(self._last("text"), _encode({"type": "citations_delta", "citation": citation}))

    def _cut(self, start: int, length: int) -> str:
        """A stretch of the text so far."""
        self._text.seek(start)
        cut = self._text.read(length)
        self._text.seek(0, io.SEEK_END)
        return cut

    def _call(self, call: ToolCall) -> None:
        """Takes a piece of a call. Another id and a name begin another call, also under the same index."""
        function = answer.function_of(call)
        block = self._calls.get(call.index)
        if block is None or (call.id and function.name and block.call_id not in ("", call.id)):
            block = self._calls[call.index] = self._new("call")
            self._ending = replace(self._ending, called=True)
        block.call_id = block.call_id or call.id
        block.name = block.name or function.name
        gather_call(block.extra, call)  # a block that has begun can be told no more
        if block is self._blocks[0]:
            self._flush(block)
        if function.arguments and not block.ended:  # after a whole object nothing but space can come
            self._argue(block, function.arguments)

    def _argue(self, block: _Block, piece: str) -> None:
        """Takes a piece of a call's arguments: they are told as they come where they begin as an object."""
        block.arguments.append(piece)
        if not block.form:
            start = piece.lstrip(answer.JSON_SPACE)[:1]
            block.form = "object" if start == "{" else "other" if start else ""
        delta = _PIECES["call"] % _encode(piece)
        if block.form == "object":
            self._add(block, delta)
        elif not block.form:
            block.held.append(delta)

    # --- Blocks ------------------------------------------------------------------------------------

    def _last(self, kind: _Kind) -> _Block:
        """The block that a piece of text belongs to: the last, or a new one."""
        return self._blocks[-1] if self._blocks and self._blocks[-1].kind == kind else self._new(kind)

    def _new(self, kind: _Kind) -> _Block:
        """A new last block; it is told at once where those before it have ended."""
        block = _Block(kind)
        self._blocks.append(block)
        while len(self._blocks) > 1 and _is_complete(self._blocks[0]):
            self._close()
        return block

    def _add(self, block: _Block, delta: bytes) -> None:
        if block.before and not block.held:
            self._out += (block.before, delta, _END)
            return
        block.held.append(delta)
        if block is self._blocks[0]:
            self._flush(block)

    def _flush(self, block: _Block) -> None:
        """Tells what is held of the first block, once it is known what it is."""
        if block.kind == "call" and not (block.name and block.call_id):
            return
        if not block.before:
            self._open(block)
        if block.kind == "call" and block.form != "object":
            return
        for delta in block.held:
            self._out += (block.before, delta, _END)
        block.held = []

    def _open(self, block: _Block) -> None:
        start = {"type": "content_block_start", "index": self._index, "content_block": _opening(block)}
        self._out.append(event("content_block_start", start))
        block.before = _DELTA % self._index
        self._index += 1

    def _close(self) -> None:
        """Tells the rest of the first block, and begins the next."""
        block = self._blocks[0]
        if not block.before:
            self._open(block)
        if block.form == "other":
            told = _encode(answer.invalid("".join(block.arguments))).decode()
            block.held = [_PIECES["call"] % _encode(told)]
        elif block.kind == "call" and not block.form:
            block.held = []
        for delta in block.held:
            self._out += (block.before, delta, _END)
        block.ended = True
        stop = {"type": "content_block_stop", "index": self._index - 1}
        self._out.append(event("content_block_stop", stop))
        del self._blocks[0]
        if self._blocks:
            self._flush(self._blocks[0])


def error_type(of_chat: str) -> str:
    """An error's type as Anthropic has it: the same word, or the general one.

    https://platform.claude.com/docs/en/api/errors
    """
    return of_chat if of_chat in _ERROR_TYPES else "api_error"


def _opening(block: _Block) -> Json:
    if block.kind == "call":
        return answer.tool_block(block.call_id, block.name, {}, block.extra)
    return answer.thinking_block("") if block.kind == "thinking" else answer.text_block("")


def _is_complete(block: _Block) -> bool:
    """Whether nothing more can come for a block that others follow. Arguments are read once at most, to
    bound the work."""
    if block.kind != "call":
        return True
    if block.checked or block.form != "object":
        return False
    block.checked = True
    return bool(block.name) and answer.is_object("".join(block.arguments))
