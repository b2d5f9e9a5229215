"""Anthropic's messages, as Anthropic's own SDK reads them.

https://platform.claude.com/docs/en/api/messages, .../build-with-claude/streaming and .../api/errors.
"""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from tests.conformance.said import Called, Said, Spoken

JSON, EVENTS = "application/json", "text/event-stream"
RETRY_AFTER = "7"  # seconds
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"
_ROW = {"driver": "anthropic", "key_env": "ANTHROPIC_API_KEY"}
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_REFUSED = {"type": "refusal", "category": "cyber", "explanation": "It would help an attack."}
_FAULTS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
Json = dict[str, Any]


def parts(text: str, size: int = 4) -> list[str]:
    """A text in pieces."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def event(kind: str, **members: Any) -> bytes:
    """A named server-sent event, whose name stands in its data, too."""
    data = json.dumps({"type": kind, **members})
    return f"event: {kind}\ndata: {data}\n\n".encode()


class AnthropicSpeaker:
    """Speaks Anthropic's dialect. It has no word for images that a model makes."""

    name: str = "anthropic"
    row: Mapping[str, Any] = _ROW
    faults: Mapping[str, int] = MappingProxyType(_FAULTS)

    def streams(self, path: str, body: Any) -> bool:  # noqa: ARG002 - others look at it
        """Where the body says so."""
        return isinstance(body, dict) and body.get("stream") is True

    def whole(self, said: Said) -> Spoken:
        """A message."""
        return message([*_blocks(said)], **_ending(said), usage=_usage(said))

    def stream(self, said: Said) -> Spoken:
        """Events: each block in pieces, with a ping in between."""
        return events([*_blocks(said)], _ending(said), _usage(said))

    def fault(self, word: str) -> Spoken:
        """An error of this type."""
        headers = {"retry-after": RETRY_AFTER} if word == "rate_limit_error" else {}
        body = {"type": "error", "error": _error(word), "request_id": "req_1"}
        return Spoken(JSON, [json.dumps(body).encode()], self.faults[word], headers)

    def breaks(self, said: Said, word: str) -> Spoken:
        """An error in place of the next event."""
        begun = [_start(_usage(said)), *_block(0, _text(said.text))]
        return Spoken(EVENTS, [*begun[:-1], event("error", error=_error(word), request_id="req_1")])


def message(content: list[Json], **more: Any) -> Spoken:
    """A whole answer of these blocks."""
    return Spoken(JSON, [json.dumps(_message(content, **more)).encode()])


def events(content: list[Json], ending: Json, usage: Json) -> Spoken:
    """A stream of these blocks."""
    blocks = [piece for index, block in enumerate(content) for piece in _block(index, block)]
    # What is cumulative is told once more at the end; llama.cpp and others tell the output alone.
    last = event("message_delta", delta=ending, usage=usage)
    return Spoken(EVENTS, [_start(usage), event("ping"), *blocks, last, event("message_stop")])


def _message(content: list[Json], **more: Any) -> Json:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5",
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        **more,
    }


def _start(usage: Json) -> bytes:
    return event("message_start", message=_message([], usage=usage | {"output_tokens": 1}))


def _ending(said: Said) -> Json:
    details = _REFUSED if said.finish == "content_filter" else None
    return {"stop_reason": _STOP_REASONS[said.finish], "stop_sequence": None, "stop_details": details}


def _usage(said: Said) -> Json:
    return {
        "input_tokens": said.prompt_tokens - said.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": said.cached_tokens,
        "output_tokens": said.completion_tokens,
        "output_tokens_details": {"thinking_tokens": said.reasoning_tokens},
    }


def _blocks(said: Said) -> Iterator[Json]:
    if said.reasoning:
        yield {"type": "thinking", "thinking": said.reasoning, "signature": SIGNATURE}
    if said.text:
        yield _text(said.text)
    yield from map(_call, said.calls)


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _call(call: Called) -> Json:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments)}


def _block(index: int, block: Json) -> Iterator[bytes]:
    """The events of a block."""
    empty: dict[str, Json] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
    }
    start = {**block, **empty.get(block["type"], {})}
    yield event("content_block_start", index=index, content_block=start)
    for delta in _deltas(block):
        yield event("content_block_delta", index=index, delta=delta)
    yield event("content_block_stop", index=index)


def _deltas(block: Json) -> Iterator[Json]:
    if block["type"] == "tool_use":
        arguments = json.dumps(block["input"]) if block["input"] else ""
        pieces = ["", *parts(arguments)]
        yield from ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    for name in ("text", "thinking"):
        yield from ({"type": f"{name}_delta", name: piece} for piece in parts(block.get(name, "")))
    if "signature" in block:
        yield {"type": "signature_delta", "signature": block["signature"]}


def _error(word: str) -> Json:
    return {"type": word, "message": f"It is like this: {word}."}
