"""OpenAI's requests and answers by their members, written down from its API reference, and how each looks
as a typed message, at an upstream and back at a caller.

Nothing here is read from the contract or its descriptor: it is what those are compared with.
https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Kind(Enum):
    """What a member holds that is no object of OpenAI's."""

    VALUE = "a string, a number, a boolean, a list or a map of those"
    STRINGS = "a string, which stands for a list of one, or a list"
    TEXT = "any JSON, kept as text"
    INPUTS = "a string, a list of tokens, or a list of either"


@dataclass(frozen=True)
class Object:
    """An object, or a list of it. `short` is the member that a bare string stands for."""

    members: Mapping[str, Node]
    many: bool = False
    short: str = ""

    def of(self, **more: Node) -> Object:
        """The same with more members."""
        return Object({**self.members, **more}, self.many, self.short)


Node = Kind | Object
VALUE, STRINGS, TEXT, INPUTS = Kind


def _object(*values: str, **others: Node) -> Object:
    return Object({**dict.fromkeys(values, VALUE), **others})


def _many(item: Object, short: str = "") -> Object:
    return Object(item.members, many=True, short=short)


# --- Requests --------------------------------------------------------------------------------------

_FUNCTION = _object("name", "description", "strict", parameters=TEXT)
_CALL = _object("name", "arguments")
_CUSTOM_CALL = _object("name", "input")
# What an answer had under `extra` is given back there.
_GIVEN_CALLS = _many(
    _object("id", "type", "extra", function=_CALL.of(extra=VALUE), custom=_CUSTOM_CALL.of(extra=VALUE))
)
_PART = _object(
    *("type", "text", "refusal"),
    image_url=_object("url", "detail"),
    input_audio=_object("data", "format"),
    file=_object("file_data", "file_id", "filename"),
    prompt_cache_breakpoint=_object("mode", "ttl"),
)
_MESSAGE = _object(
    *("role", "name", "refusal", "tool_call_id", "reasoning", "extra"),
    content=_many(_PART, short="text"),
    tool_calls=_GIVEN_CALLS,
    function_call=_CALL.of(extra=VALUE),
    audio=_object("id"),
)
_TOOL = _object(
    "type",
    function=_FUNCTION,
    custom=_object("name", "description", format=_object("type", grammar=_object("definition", "syntax"))),
)
_CHOICE_OF_TOOL = Object(
    {
        **_object("type").members,
        "function": _object("name"),
        "custom": _object("name"),
        "allowed_tools": _object("mode", tools=TEXT),
    },
    short="mode",
)
REQUEST = _object(
    *("model", "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens"),
    *("metadata", "modalities", "n", "parallel_tool_calls", "presence_penalty", "prompt_cache_key"),
    *("prompt_cache_retention", "reasoning_effort", "safety_identifier", "seed", "service_tier"),
    *("store", "stream", "temperature", "top_logprobs", "top_p", "user", "verbosity"),
    stop=STRINGS,
    messages=_many(_MESSAGE),
    tools=_many(_TOOL),
    tool_choice=_CHOICE_OF_TOOL,
    functions=_many(_FUNCTION),
    function_call=Object(_object("name").members, short="mode"),
    response_format=_object("type", json_schema=_object("name", "description", "strict", schema=TEXT)),
    audio=_object("format", voice=Object(_object("id").members, short="name")),
    prediction=_object("type", content=_many(_PART, short="text")),
    web_search_options=_object(
        "search_context_size",
        user_location=_object("type", approximate=_object("city", "country", "region", "timezone")),
    ),
    stream_options=_object("include_usage", "include_obfuscation"),
    prompt_cache_options=_object("mode", "ttl"),
    moderation=_object("model", policy=_object(input=_object("mode"), output=_object("mode"))),
)

TEXT_REQUEST = _object(
    *("model", "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "n"),
    *("presence_penalty", "seed", "stream", "suffix", "temperature", "top_p", "user"),
    prompt=INPUTS,
    stop=STRINGS,
    stream_options=_object("include_usage", "include_obfuscation"),
)
EMBEDDINGS_REQUEST = _object("model", "encoding_format", "dimensions", "user", input=INPUTS)

# --- Answers ---------------------------------------------------------------------------------------

_LIKELY = _object("token", "bytes", "logprob")
_LOGPROB = _many(_LIKELY.of(top_logprobs=_many(_LIKELY)))
_SAID = _object(
    *("role", "content", "refusal", "reasoning"),
    tool_calls=_many(_object("id", "type", "index", function=_CALL, custom=_CUSTOM_CALL)),
    function_call=_CALL,
    annotations=_many(_object("type", url_citation=_object("start_index", "end_index", "title", "url"))),
    audio=_object("id", "data", "expires_at", "transcript"),
)
_CHOICE = _object("index", "finish_reason", logprobs=_object(content=_LOGPROB, refusal=_LOGPROB))
_ANSWER = _object(
    *("id", "object", "created", "model", "system_fingerprint", "service_tier"),
    usage=_object(
        *("prompt_tokens", "completion_tokens", "total_tokens"),
        prompt_tokens_details=_object(
            *("cached_tokens", "audio_tokens", "cache_write_tokens", "image_tokens", "text_tokens")
        ),
        completion_tokens_details=_object(
            *("reasoning_tokens", "audio_tokens", "text_tokens"),
            *("accepted_prediction_tokens", "rejected_prediction_tokens"),
        ),
    ),
)
ANSWER_MESSAGE = _SAID
COMPLETION = _ANSWER.of(choices=_many(_CHOICE.of(message=_SAID)))
CHUNK = _ANSWER.of(choices=_many(_CHOICE.of(delta=_SAID)))

# --- What becomes of them --------------------------------------------------------------------------


def at_upstream(request: Any, node: Node = REQUEST) -> Any:
    """A caller's request as an upstream must see it: the very same, but for what says nothing.

    A member of OpenAI's that is null, or a list or map of OpenAI's without elements, says the same as one
    that is not there; a `stop` that is a string says the same as a list of one, and so does an input or a
    prompt. All below a name that is
    not OpenAI's, and every JSON Schema, stays as it is. JSON text is decoded: `texts` is for its bytes.
    """
    if isinstance(request, msgspec.Raw):
        return json.loads(bytes(request))
    if node is STRINGS:
        return [request] if isinstance(request, str) else request
    if node is INPUTS:
        bare = isinstance(request, list) and len(request) == 1 and not isinstance(request[0], int)
        return request[0] if bare else request
    if not isinstance(node, Object) or isinstance(request, str):
        return request
    if node.many:
        return [at_upstream(item, Object(node.members)) for item in request]
    return {
        name: at_upstream(value, node.members[name]) if name in node.members else plain(value)
        for name, value in request.items()
        if name not in node.members or not _says_nothing(value, node.members[name])
    }


def texts(request: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], bytes]]:
    """The JSON texts (`msgspec.Raw`) in a request and where they are, which must arrive byte for byte."""
    if isinstance(request, msgspec.Raw):
        yield path, bytes(request)
    elif isinstance(request, dict):
        for name, value in request.items():
            yield from texts(value, (*path, name))
    elif isinstance(request, list):
        for place, value in enumerate(request):
            yield from texts(value, (*path, place))


def text_at(body: bytes, path: tuple[str | int, ...]) -> bytes:
    """The bytes of the value at a place in a JSON document."""
    for step in path:
        if isinstance(step, str):
            body = bytes(msgspec.json.decode(body, type=dict[str, msgspec.Raw])[step])
        else:
            body = bytes(msgspec.json.decode(body, type=list[msgspec.Raw])[step])
    return body


def fields(request: Any, node: Node = REQUEST) -> Any:
    """A caller's request as the fields of the typed message that says the same."""
    if node is TEXT:
        return msgspec.json.encode(request).decode()
    if node is STRINGS:
        return [request] if isinstance(request, str) else request
    if node is INPUTS:
        one = isinstance(request, str) or isinstance(request[0], int)
        inputs = [request] if one else request
        return [{"text" if isinstance(item, str) else "tokens": item} for item in inputs]
    if not isinstance(node, Object):
        return request
    if isinstance(request, str):
        return [{node.short: request}] if node.many else {node.short: request}
    if node.many:
        return [fields(item, Object(node.members)) for item in request]
    known = {
        name: fields(request[name], node.members[name])
        for name in request
        if name in node.members and request[name] is not None
    }
    unknown = {name: value for name, value in request.items() if name not in node.members}
    return known | ({"extra_json": msgspec.json.encode(unknown).decode()} if unknown else {})


def at_caller(answer: Any, node: Node) -> Any:
    """An upstream's answer as a caller must see it: the very same, with what OpenAI does not know under
    `extra`, where numbers are doubles. Null members and empty lists are left out.
    """
    if not isinstance(node, Object):
        return answer
    if node.many:
        return [at_caller(item, Object(node.members)) for item in answer]
    known = {
        name: at_caller(value, node.members[name])
        for name, value in answer.items()
        if name in node.members and not _says_nothing(value, node.members[name])
    }
    unknown = {
        name: doubles(value)
        for name, value in answer.items()
        if name not in node.members and value is not None
    }
    return known | ({"extra": unknown} if unknown else {})


def without_extra(answer: Any) -> Any:
    """What `at_caller` gives, with the members under `extra` where the upstream had them."""
    if isinstance(answer, list):
        return [without_extra(item) for item in answer]
    if not isinstance(answer, dict):
        return answer
    known = {name: without_extra(value) for name, value in answer.items() if name != "extra"}
    return known | answer.get("extra", {})


def doubles(value: Any) -> Any:
    """The value with each number as the double that is nearest to it."""
    if isinstance(value, dict):
        return {name: doubles(item) for name, item in value.items()}
    if isinstance(value, list):
        return [doubles(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def plain(value: Any) -> Any:
    """The value with its JSON texts decoded."""
    return json.loads(msgspec.json.encode(value))


def told(value: Any) -> Any:
    """The value with its booleans marked, which Python takes for 0 and 1 when it compares."""
    if isinstance(value, dict):
        return {name: told(item) for name, item in value.items()}
    if isinstance(value, list):
        return [told(item) for item in value]
    return ("boolean", value) if isinstance(value, bool) else value


def spare(answer: Any) -> Any:
    """An answer without null members and empty lists, but for what stands under `extra`."""
    if isinstance(answer, list):
        return [spare(item) for item in answer]
    if not isinstance(answer, dict):
        return answer
    return {
        name: value if name == "extra" else spare(value)
        for name, value in answer.items()
        if value is not None and value != []
    }


def joined(chunks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Chunks with those joined that follow each other and hold text, or thoughts, of one choice alone.

    Such texts may arrive together, and leave as one.
    """
    out: list[dict[str, Any]] = []
    for chunk in chunks:
        said, before = _said(chunk), _said(out[-1]) if out else None
        if said and before and said[0] == before[0] and _saying(out[-1], *said) == chunk:
            out[-1] = _saying(out[-1], said[0], before[1] + said[1])
        else:
            out.append(chunk)
    return out


def _said(chunk: dict[str, Any]) -> tuple[str, str] | None:
    """What kind of text a chunk holds, if it holds nothing else, and the text."""
    match chunk:
        case {"choices": [{"delta": {"content": str() as text, **rest}}]} if not rest:
            return "content", text
        case {"choices": [{"delta": {"reasoning": str() as text, **rest}}]} if not rest:
            return "reasoning", text
    return None


def _saying(chunk: dict[str, Any], kind: str, text: str) -> dict[str, Any]:
    return {**chunk, "choices": [{**chunk["choices"][0], "delta": {kind: text}}]}


def _says_nothing(value: Any, node: Node) -> bool:
    return value is None or (value == [] and node is not TEXT) or (value == {} and node is VALUE)
