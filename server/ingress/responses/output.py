"""The response object of the Responses API: its items and parts, and a whole completion written as one.

https://platform.openai.com/docs/api-reference/responses/object

What a provider adds beyond the contract stands under `extra`: of a tool call in its item, whence a caller
gives it back with the conversation; of all else in the response. Sound is never asked for and has no place.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct

from interference.v1.completion_pb2 import (
    Annotation,
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    TokenLogprob,
    TopLogprob,
)
from interference.v1.tool_pb2 import ToolCall
from interference.v1.usage_pb2 import Usage
from server.ingress.additions import Json, add, gather, gather_call, plain
from server.ingress.chat import calls

COMPLETED: Final = "completed"
INCOMPLETE: Final = "incomplete"
IN_PROGRESS: Final = "in_progress"
# Why a response is incomplete, by the finish reason that says so.
_CUT: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer needs of its request.

    `token` makes its ids unique, `model` is the one asked for, `summed_up` says whether reasoning is told
    as its summary, `echo` holds the members that a response repeats.
    """

    token: str
    model: str
    summed_up: bool
    echo: Json


def whole(completion: ChatCompletion, told: Told) -> Json:
    """The response object of a whole completion, of which the first choice counts: there is no `n` here."""
    choice = completion.choices[0] if completion.choices else Choice()
    items = list(_items(choice, told))
    if cut(choice.finish_reason):
        items[-1]["status"] = INCOMPLETE
    extra: Json = {}
    for added in (completion, choice, choice.message):
        gather(extra, added)
    for note in choice.message.annotations:
        if citation(note) is None:
            gather_note(extra, note)
    done = response(told, completion.created, completion.model, completion.provider)
    finish(done, choice.finish_reason)
    done["output"] = items
    done["usage"] = usage(completion.usage) if completion.HasField("usage") else None
    return done | more(completion) | ({"extra": extra} if extra else {})


def response(told: Told, created: int, model: str, provider: str) -> Json:
    """A response in progress."""
    return {
        "id": f"resp_{told.token}",
        "object": "response",
        "created_at": created or int(time.time()),
        "status": IN_PROGRESS,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": model or told.model,
        "provider": provider,
        "output": [],
        "previous_response_id": None,
        "store": False,
        "truncation": "disabled",
        "usage": None,
        **told.echo,
    }


def finish(done: Json, finish_reason: str) -> None:
    """Says how a response ended."""
    if reason := cut(finish_reason):
        done["status"] = INCOMPLETE
        done["incomplete_details"] = {"reason": reason}
    else:
        done["status"] = COMPLETED
        done["completed_at"] = int(time.time())


def cut(finish_reason: str) -> str | None:
    """Why a response is incomplete, or None where it is complete."""
    return _CUT.get(finish_reason)


def more(said: ChatCompletion | ChatCompletionChunk) -> Json:
    """What a completion or a chunk says of the whole answer, where it says it."""
    found: Json = {}
    if said.HasField("system_fingerprint"):
        found["system_fingerprint"] = said.system_fingerprint
    if said.HasField("service_tier"):
        found["service_tier"] = said.service_tier
    return found


def reasoning_item(item_id: str, text: str, *, summed_up: bool, status: str) -> Json:
    """Reasoning, as its text or as its summary."""
    item: Json = {"id": item_id, "type": "reasoning", "status": status, "summary": []}
    if summed_up:
        item["summary"] = [{"type": "summary_text", "text": text}] if text else []
    else:
        item["content"] = [{"type": "reasoning_text", "text": text}] if text else []
    return item


def message_item(item_id: str, content: list[Json], status: str) -> Json:
    """What the assistant said."""
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}


def text_part(text: str, annotations: list[Json], logprobs: list[Json]) -> Json:
    """Text of a message."""
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs}


def refusal_part(text: str) -> Json:
    """A refusal in a message."""
    return {"type": "refusal", "refusal": text}


@dataclass(frozen=True, slots=True)
class Called:
    """A tool call of an answer."""

    item_id: str
    call_id: str
    name: str
    is_custom: bool

    def item(self, text: str, extra: Json, status: str) -> Json:
        """Its item: `text` is the arguments, or a custom tool's input."""
        kind, text_name = (
            ("custom_tool_call", "input") if self.is_custom else ("function_call", "arguments")
        )
        item = {
            "id": self.item_id,
            "type": kind,
            "status": status,
            "call_id": self.call_id,
            "name": self.name,
            text_name: text,
        }
        return item | ({"extra": extra} if extra else {})


def called(told: Told, number: int, call: ToolCall, call_id: str, used: set[str]) -> Called:
    """Names a call, the answer's call number `number`. One that has no id of its own gets one."""
    is_custom = call.HasField("custom") or call.type == "custom"
    if not call_id or call_id in used:
        call_id = f"call_{told.token}{number}"
    used.add(call_id)
    name = call.custom.name if is_custom else call.function.name
    return Called(f"{'ctc' if is_custom else 'fc'}_{told.token}{number}", call_id, name, is_custom)


def call_text(call: ToolCall) -> str:
    """A call's arguments, or a custom tool's input, or the next piece of them."""
    return call.custom.input if call.HasField("custom") else call.function.arguments


def citation(said: Annotation) -> Json | None:
    """A page that a stretch of the text rests on; None for other notes, which the API has no place for."""
    if said.type not in ("", "url_citation"):
        return None
    cited = said.url_citation
    page: Json = {"start_index": cited.start_index, "end_index": cited.end_index}
    page |= {"title": cited.title, "url": cited.url}
    if cited.HasField("extra"):
        page["extra"] = plain(cited.extra)
    return plain(said.extra) | {"type": "url_citation", **page}


def gather_note(extra: Json, said: Annotation) -> None:
    """Adds a note that is no citation of a page, under `annotations`."""
    add(extra, {"annotations": [plain(said.extra) | {"type": said.type}]})


def logprobs(tokens: Iterable[TokenLogprob]) -> list[Json]:
    """How likely the tokens were."""
    return [
        {**_logprob(token), "top_logprobs": [_logprob(other) for other in token.top_logprobs]}
        for token in tokens
    ]


def usage(said: Usage) -> Json:
    """What the call cost."""
    read, written = said.prompt_tokens, said.completion_tokens
    found: Json = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}
        | _counts(said.prompt_tokens_details),
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0} | _counts(said.completion_tokens_details),
        "total_tokens": said.total_tokens if said.HasField("total_tokens") else read + written,
    }
    return found | ({"extra": plain(said.extra)} if said.HasField("extra") else {})


def _items(choice: Choice, told: Told) -> Iterator[Json]:
    """The output of a whole answer: never empty, for the sake of clients that take the first item."""
    said = choice.message
    if said.reasoning:
        yield reasoning_item(
            f"rs_{told.token}0", said.reasoning, summed_up=told.summed_up, status=COMPLETED
        )
    content = list(_parts(said, choice))
    called_for = calls(said)
    if content or not called_for:
        parts = content or [text_part("", [], [])]
        yield message_item(f"msg_{told.token}0", parts, COMPLETED)
    used: set[str] = set()
    for number, call in enumerate(called_for):
        extra: Json = {}
        gather_call(extra, call)
        yield called(told, number, call, call.id, used).item(call_text(call), extra, COMPLETED)


def _parts(said: AnswerMessage, choice: Choice) -> Iterator[Json]:
    pages = [page for note in said.annotations if (page := citation(note)) is not None]
    if said.content or pages:
        yield text_part(said.content, pages, logprobs(choice.logprobs.content))
    if said.refusal:
        yield refusal_part(said.refusal)


def _logprob(token: TokenLogprob | TopLogprob) -> Json:
    return {"token": token.token, "bytes": list(token.bytes), "logprob": token.logprob}


def _counts(details: Any) -> Json:
    return {
        field.name: plain(value) if isinstance(value, Struct) else value
        for field, value in details.ListFields()
    }
