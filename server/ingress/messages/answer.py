"""A whole answer as Anthropic's Messages API gives it, and what a streamed one shares with it.

https://platform.claude.com/docs/en/api/messages
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec
from google.protobuf.struct_pb2 import Struct

from interference.v1.completion_pb2 import Annotation, AnswerMessage, ChatCompletion, ChatCompletionChunk
from interference.v1.tool_pb2 import FunctionCall, ToolCall
from interference.v1.usage_pb2 import Usage
from server.forms import JSON_FAULTS
from server.ingress.additions import gather_call
from server.ingress.chat import calls

Json = dict[str, Any]

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
# Anthropic's own words, which an upstream may use too.
_OWN_REASONS = (
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
)
# Where upstreams tell which stop sequence ended the answer: vLLM, SGLang, and those that say it as here.
_STOP_MEMBERS = ("stop_reason", "matched_stop", "stop_sequence")
_TIERS = {"default": "standard"}
_MAX_CITED = 150  # characters
# What Anthropic's documentation calls the member that holds input which is no JSON object.
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming
_INVALID_JSON = "INVALID_JSON"
JSON_SPACE = " \t\r\n"

_encode = msgspec.json.Encoder().encode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Given:
    """What of the request the answer depends on."""

    model: str
    stops: Sequence[str] = ()
    shows_thoughts: bool = True


@dataclass(frozen=True, slots=True)
class Ending:
    """Why an answer ended, as the provider says it, and what else decides the word for it."""

    finish_reason: str = ""
    stop: str | None = None
    called: bool = False
    refused: bool = False


def whole(completion: ChatCompletion, given: Given) -> Json:
    """The message object of a whole answer, which is the first choice."""
    choice = completion.choices[0] if completion.choices else None
    message = choice.message if choice else AnswerMessage()
    content = list(_content(message, given))
    ending = Ending(
        finish_reason=choice.finish_reason if choice else "",
        stop=stop_of(choice.extra, given) if choice and choice.HasField("extra") else None,
        called=bool(calls(message)),
        refused=bool(message.refusal),
    )
    return begun(completion, given) | {
        "content": content,
        **stopped(ending),
        "usage": usage(completion.usage) | tier(completion),
    }


def begun(answer: ChatCompletion | ChatCompletionChunk, given: Given) -> Json:
    """The message object before anything is said."""
    return {
        "id": f"msg_{answer.id.removeprefix('chatcmpl-').removeprefix('msg_') or uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": answer.model or given.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": usage(Usage()) | tier(answer),
        "provider": answer.provider,
    }


def stopped(ending: Ending) -> Json:
    """`stop_reason` and `stop_sequence`.

    Few providers say which stop sequence was met; the others' answers are natural ends. A call of a tool is
    told also where the provider says that it stopped, as OpenAI does when the tool was the caller's choice.
    """
    reason = ending.finish_reason
    reason = reason if reason in _OWN_REASONS else _STOP_REASONS.get(reason, "end_turn")
    if ending.refused:
        reason = "refusal"
    elif ending.called and reason == "end_turn":
        reason = "tool_use"
    elif ending.stop is not None and reason == "end_turn":
        reason = "stop_sequence"
    stop = ending.stop if reason == "stop_sequence" else None
    return {"stop_reason": reason, "stop_sequence": stop, "stop_details": None}


def stop_of(extra: Struct, given: Given) -> str | None:
    """The stop sequence that a provider says it met, where it is one that was asked for."""
    for name in _STOP_MEMBERS:
        if name in extra.fields and (said := extra.fields[name].string_value):
            return said if said in given.stops else None
    return None


def usage(counted: Usage) -> Json:
    """The tokens. Anthropic counts those read from a cache or written to it apart from the input."""
    details = counted.prompt_tokens_details
    read, written = max(0, details.cached_tokens), max(0, details.cache_write_tokens)
    told: Json = {
        "input_tokens": max(0, counted.prompt_tokens - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": max(0, counted.completion_tokens),
    }
    if counted.completion_tokens_details.HasField("reasoning_tokens"):
        told["output_tokens_details"] = {
            "thinking_tokens": max(0, counted.completion_tokens_details.reasoning_tokens)
        }
    return told


def tier(answer: ChatCompletion | ChatCompletionChunk) -> Json:
    """The service tier among the usage, where the provider says it."""
    if not answer.HasField("service_tier"):
        return {}
    return {"service_tier": _TIERS.get(answer.service_tier, answer.service_tier)}


# --- Blocks ----------------------------------------------------------------------------------------


def thinking_block(thinking: str) -> Json:
    """Thoughts. No other provider signs them, and none is asked to check a signature."""
    return {"type": "thinking", "thinking": thinking, "signature": ""}


def text_block(text: str) -> Json:
    """Text."""
    return {"type": "text", "text": text}


def tool_block(call_id: str, name: str, arguments: Any, extra: Json) -> Json:
    """The call of a tool. One without an id is given one, as its result must name it.

    `extra` is the provider's own, such as Gemini's signatures, which it wants back with the call.
    """
    block = {"type": "tool_use", "id": call_id or f"toolu_{uuid4().hex}", "name": name, "input": arguments}
    return block | ({"extra": extra} if extra else {})


def function_of(call: ToolCall) -> FunctionCall:
    """What a call calls; a custom tool's text stands for arguments."""
    if call.HasField("custom") and not call.HasField("function"):
        return FunctionCall(name=call.custom.name, arguments=call.custom.input)
    return call.function


def tool_input(arguments: str) -> msgspec.Raw | Json:
    """The input of a call: the arguments as they are where they are a JSON object, and nothing for none.

    Others cannot be an input; they are told whole, as a text in one.
    """
    if not arguments.strip(JSON_SPACE):
        return {}
    return msgspec.Raw(arguments.encode()) if is_object(arguments) else invalid(arguments)


def invalid(arguments: str) -> Json:
    """An input that tells of arguments which are no JSON object."""
    return {_INVALID_JSON: arguments}


def is_object(text: str) -> bool:
    """Whether a text is one JSON object."""
    try:
        _decode_object(text)
        _decode(text)
    except JSON_FAULTS:
        return False
    return True


def citations(annotations: Iterable[Annotation], cut: Callable[[int, int], str]) -> Iterator[Json]:
    """The web pages that the text rests on. Annotations of other kinds have no like among Anthropic's.

    `cut` gives a stretch of the text by its start and length.
    """
    for annotation in annotations:
        if not annotation.HasField("url_citation"):
            continue
        cited = annotation.url_citation
        start, end = max(0, cited.start_index), max(0, cited.end_index)
        yield {
            "type": "web_search_result_location",
            "cited_text": cut(start, min(max(0, end - start), _MAX_CITED)),
            "encrypted_index": "",
            "title": cited.title if cited.HasField("title") else None,
            "url": cited.url,
        }


def _content(message: AnswerMessage, given: Given) -> Iterator[Json]:
    """The blocks: thoughts, text, what was refused, calls."""
    if message.reasoning and given.shows_thoughts:
        yield thinking_block(message.reasoning)
    text = message.content
    cited = list(citations(message.annotations, lambda start, length: text[start : start + length]))
    if text or cited:
        yield text_block(text) | ({"citations": cited} if cited else {})
    if message.refusal:
        yield text_block(message.refusal)
    for call in calls(message):
        function = function_of(call)
        extra: Json = {}
        gather_call(extra, call)
        yield tool_block(call.id, function.name, tool_input(function.arguments), extra)
