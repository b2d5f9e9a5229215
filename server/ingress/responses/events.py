"""Answers of the Responses API: whole, and as the events of a stream.

https://platform.openai.com/docs/api-reference/responses-streaming

Text and reasoning come one item after another; tool calls, whose pieces may come in turns, stay open beside
each other until the end. What the accumulators of OpenAI's SDKs demand: `response.created` first, an item
before its parts, a part before its text, rising numbers, ids and call ids that neither change nor repeat.
"""

from typing import Any, Final

import msgspec
from google.protobuf.json_format import MessageToDict

from interference.v1.completion_pb2 import AnswerMessage, ChatCompletion, ChatCompletionChunk, ChunkChoice
from interference.v1.error_pb2 import Error, ErrorResponse
from interference.v1.tool_pb2 import ToolCall
from server.ingress import additions, wire
from server.ingress.additions import Json
from server.ingress.chat import calls
from server.ingress.responses import output
from server.ingress.responses.output import COMPLETED, IN_PROGRESS, INCOMPLETE, Told
from server.ingress.responses.unfinished import OpenCall, OpenMessage, OpenPart, OpenReasoning

# The codes of a failed response are a closed list; these stand for classes of errors, and `server_error`
# for the others. https://platform.openai.com/docs/api-reference/responses/object#responses-object-error
_CODES: Final = {"rate_limit_error": "rate_limit_exceeded", "invalid_request_error": "invalid_prompt"}
_encode = msgspec.json.Encoder().encode


class ResponsesAnswer:
    """Writes one answer."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._out: list[bytes] = []  # events that have not been given yet
        self._number = 0  # of the next event
        self._response: Json = {}  # as it was when it began
        self._items: dict[int, Json] = {}  # those that are done, by their place in the output
        self._begun = 0  # items
        self._ids = {"msg": 0, "rs": 0}  # given, by kind
        self._said: OpenMessage | OpenReasoning | None = None
        self._calls: list[OpenCall] = []
        self._by_index: dict[int, OpenCall] = {}
        self._call_ids: set[str] = set()
        self._logprobs: list[Json] = []  # of tokens whose text has not come yet
        self._finish_reason = ""
        self._usage: Json | None = None
        self._more: Json = {}
        self._extra: Json = {}

    def whole(self, completion: ChatCompletion) -> bytes:
        """The body of a whole answer."""
        return _encode(output.whole(completion, self._told))

    def chunk(self, chunk: ChatCompletionChunk) -> bytes:
        """The events that a chunk makes."""
        self._begin(chunk.created, chunk.model, chunk.provider)
        if chunk.HasField("usage"):
            self._usage = output.usage(chunk.usage)
        self._more |= output.more(chunk)
        additions.gather(self._extra, chunk)
        for choice in chunk.choices:
            if choice.index == 0:
                self._choice(choice)
        return self._take()

    def end(self) -> bytes:
        """The events that end a stream that went well."""
        self._begin(0, "", "")
        for call in self._calls:
            if not call.begun:
                self._begin_call(call, ToolCall(id=call.upstream_id))
        if not self._ids["msg"] and not self._calls:
            self._open_part("output_text")
        cut = output.cut(self._finish_reason)
        for item in sorted(self._open(), key=lambda item: item.index):
            self._close(item, INCOMPLETE if cut and item.index == self._begun - 1 else COMPLETED)
        done = self._final()
        output.finish(done, self._finish_reason)
        done["output"] = [self._items[index] for index in range(self._begun)]
        self._emit("response.incomplete" if cut else "response.completed", response=done)
        return self._take()

    def failed(self, failure: ErrorResponse) -> bytes:
        """The events that end a stream that failed: `error`, at which SDKs raise, and `response.failed`."""
        self._begin(0, "", "")
        error = failure.error
        beside = MessageToDict(failure, preserving_proto_field_name=True)
        beside.pop("error", None)
        told = {"code": error.code, "message": error.message, "param": error.param or None}
        self._emit("error", **told, error={"type": error.type, **told}, **beside)
        items = self._items | {item.index: item.item(INCOMPLETE) for item in self._open()}
        done = self._final()
        done["status"] = "failed"
        done["error"] = {**told, "code": _code(error), "type": error.type}
        done["output"] = [items[index] for index in sorted(items)]
        self._emit("response.failed", response=done)
        return self._take()

    # --- The response ------------------------------------------------------------------------------

    def _begin(self, created: int, model: str, provider: str) -> None:
        if not self._response:
            self._response = output.response(self._told, created, model, provider)
            self._emit("response.created", response=self._response)
            self._emit("response.in_progress", response=self._response)

    def _final(self) -> Json:
        extra = {"extra": self._extra} if self._extra else {}
        return self._response | {"usage": self._usage} | self._more | extra

    def _choice(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        if choice.HasField("logprobs"):
            self._logprobs += output.logprobs(choice.logprobs.content)
        self._say(delta)
        for call in calls(delta):
            self._call(call)
        if choice.finish_reason:
            self._finish_reason = choice.finish_reason
        additions.gather(self._extra, choice)
        additions.gather(self._extra, delta)

    # --- Reasoning and messages --------------------------------------------------------------------

    def _say(self, delta: AnswerMessage) -> None:
        if delta.reasoning:
            self._reason(delta.reasoning)
        if delta.content:
            self._write(delta.content)
        if delta.refusal:
            message, part = self._open_part("refusal")
            part.pieces.append(delta.refusal)
            self._emit("response.refusal.delta", **message.place(), delta=delta.refusal)
        for said in delta.annotations:
            if (page := output.citation(said)) is not None:
                self._annotate(page)
            else:
                output.gather_note(self._extra, said)

    def _reason(self, text: str) -> None:
        said = self._said
        if not isinstance(said, OpenReasoning):
            self._fall_silent()
            said = self._said = OpenReasoning(self._next_index(), self._next_id("rs"), self._told.summed_up)
            self._emit("response.output_item.added", output_index=said.index, item=said.item(IN_PROGRESS))
            self._emit(f"{said.part_events}.added", **said.place(), part=said.part())
        said.pieces.append(text)
        self._emit(f"{said.text_events}.delta", **said.place(), delta=text)

    def _write(self, text: str) -> None:
        message, part = self._open_part("output_text")
        part.pieces.append(text)
        logprobs, self._logprobs = self._logprobs, []
        part.logprobs += logprobs
        self._emit("response.output_text.delta", **message.place(), delta=text, logprobs=logprobs)

    def _annotate(self, annotation: Json) -> None:
        message, part = self._open_part("output_text")
        place = message.place() | {"annotation_index": len(part.annotations)}
        part.annotations.append(annotation)
        self._emit("response.output_text.annotation.added", **place, annotation=annotation)

    def _open_part(self, kind: str) -> tuple[OpenMessage, OpenPart]:
        """The open part of a kind and its message, begun where there is none."""
        said = self._said
        if not isinstance(said, OpenMessage):
            self._fall_silent()
            said = self._said = OpenMessage(self._next_index(), self._next_id("msg"))
            self._emit("response.output_item.added", output_index=said.index, item=said.item(IN_PROGRESS))
        if said.parts and said.parts[-1].kind == kind:
            return said, said.parts[-1]
        if said.parts:
            self._close_part(said)
        said.parts.append(OpenPart(kind))
        self._emit("response.content_part.added", **said.place(), part=said.parts[-1].part())
        return said, said.parts[-1]

    def _fall_silent(self) -> None:
        """Closes what is being said, because something else begins."""
        if self._said is not None:
            self._close(self._said, COMPLETED)

    # --- Tool calls --------------------------------------------------------------------------------

    def _call(self, delta: ToolCall) -> None:
        call = self._find(delta)
        additions.gather_call(call.extra, delta)
        if not call.begun and _name(delta):
            self._begin_call(call, delta)
        if text := output.call_text(delta):
            call.pieces.append(text)
            if call.begun:
                self._emit(f"{call.text_events}.delta", **call.place(), delta=text)

    def _find(self, delta: ToolCall) -> OpenCall:
        """The call that a piece belongs to. Some providers leave the index out, or give 0 to every call."""
        index = delta.index if delta.HasField("index") else max(self._by_index, default=0)
        call = self._by_index.get(index)
        if call is None or _begins_another(call, delta):
            call = self._by_index[index] = OpenCall(delta.id)
            self._calls.append(call)
        call.upstream_id = call.upstream_id or delta.id
        return call

    def _begin_call(self, call: OpenCall, delta: ToolCall) -> None:
        """Begins a call's item: `delta` names it. Gives the pieces that came before the name."""
        self._fall_silent()
        call.called = output.called(
            self._told, len(self._call_ids), delta, call.upstream_id, self._call_ids
        )
        call.index = self._next_index()
        item = call.called.item("", {}, IN_PROGRESS)
        self._emit("response.output_item.added", output_index=call.index, item=item)
        if call.pieces:
            self._emit(f"{call.text_events}.delta", **call.place(), delta=call.text)

    # --- Items and events --------------------------------------------------------------------------

    def _next_index(self) -> int:
        self._begun += 1
        return self._begun - 1

    def _next_id(self, kind: str) -> str:
        self._ids[kind] += 1
        return f"{kind}_{self._told.token}{self._ids[kind] - 1}"

    def _open(self) -> list[OpenMessage | OpenReasoning | OpenCall]:
        """The items that have begun and are not done."""
        begun = [call for call in self._calls if call.begun]
        return [*begun, *([self._said] if self._said is not None else [])]

    def _close(self, item: OpenMessage | OpenReasoning | OpenCall, status: str) -> None:
        if isinstance(item, OpenMessage):
            self._close_part(item)
        elif isinstance(item, OpenReasoning):
            part = item.part()
            self._emit(f"{item.text_events}.done", **item.place(), text=part["text"])
            self._emit(f"{item.part_events}.done", **item.place(), part=part)
        else:
            text = {"input" if item.called.is_custom else "arguments": item.text}
            self._emit(f"{item.text_events}.done", **item.place(), name=item.called.name, **text)
        if item is self._said:
            self._said = None
        done = self._items[item.index] = item.item(status)
        self._emit("response.output_item.done", output_index=item.index, item=done)

    def _close_part(self, message: OpenMessage) -> None:
        part = message.parts[-1]
        if part.kind == "refusal":
            done = part.part()
            self._emit("response.refusal.done", **message.place(), refusal=done["refusal"])
        else:
            part.logprobs += self._logprobs
            self._logprobs = []
            done = part.part()
            told = {"text": done["text"], "logprobs": done["logprobs"]}
            self._emit("response.output_text.done", **message.place(), **told)
        self._emit("response.content_part.done", **message.place(), part=done)

    def _emit(self, event: str, **data: Any) -> None:
        self._out.append(wire.event(event, {"type": event, "sequence_number": self._number, **data}))
        self._number += 1

    def _take(self) -> bytes:
        taken = b"".join(self._out)
        self._out.clear()
        return taken


def _name(delta: ToolCall) -> str:
    return delta.function.name or delta.custom.name


def _begins_another(call: OpenCall, delta: ToolCall) -> bool:
    """Whether a piece, by its index one of `call`, is the first of another call."""
    if not call.begun or not _name(delta):
        return False
    return delta.id != call.upstream_id if delta.id else not delta.HasField("index")


def _code(error: Error) -> str:
    return _CODES.get(error.type, "server_error")
