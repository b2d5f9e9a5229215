"""OpenAI's chat completions, as OpenAI's own SDK reads them.

https://platform.openai.com/docs/api-reference/chat/object and /streaming; errors as
https://platform.openai.com/docs/guides/error-codes has them. Reasoning and images are not OpenAI's: they
stand where compatible servers have them (https://api-docs.deepseek.com/guides/thinking_mode and
https://openrouter.ai/docs/features/multimodal/image-generation).
"""

import base64
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from tests.conformance.said import Called, Said, Spoken

JSON, EVENTS = "application/json", "text/event-stream"
RETRY_AFTER = "7"  # seconds
_HEAD = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "gpt-1", "system_fingerprint": "fp_1"}
_ROW = {
    "driver": "openai",
    "key_env": "OPENAI_API_KEY",
    "profile": {"reasoning": "reasoning_content"},
}
# An error's code: its status, and the type beside it.
_FAULTS = {
    "invalid_value": (400, "invalid_request_error"),
    "invalid_api_key": (401, "invalid_request_error"),
    "insufficient_permissions": (403, "invalid_request_error"),
    "model_not_found": (404, "invalid_request_error"),
    "request_too_large": (413, "invalid_request_error"),
    "rate_limit_exceeded": (429, "requests"),
    "server_error": (500, "server_error"),
    "overloaded": (503, "service_unavailable_error"),
}


def parts(text: str, size: int = 4) -> list[str]:
    """A text in pieces."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def event(data: Mapping[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


class OpenAISpeaker:
    """Speaks OpenAI's dialect."""

    name: str = "openai"
    row: Mapping[str, Any] = _ROW
    faults: Mapping[str, int] = MappingProxyType({word: status for word, (status, _) in _FAULTS.items()})

    def streams(self, path: str, body: Any) -> bool:  # noqa: ARG002 - others look at it
        """Where the body says so."""
        return isinstance(body, dict) and body.get("stream") is True

    def whole(self, said: Said) -> Spoken:
        """A chat completion."""
        return completion([_choice(said)], usage(said))

    def stream(self, said: Said) -> Spoken:
        """Chunks, with the usage in the last."""
        return chunks([*_deltas(said)], usage(said))

    def fault(self, word: str) -> Spoken:
        """An error with this code."""
        status = self.faults[word]
        headers = {"retry-after": RETRY_AFTER} if status == 429 else {}
        return Spoken(JSON, [json.dumps(_error(word)).encode()], status, headers)

    def breaks(self, said: Said, word: str) -> Spoken:
        """An error in place of the next chunk."""
        begun = [_chunk(choices=[_piece(delta)]) for delta in _talk(said)]
        return Spoken(EVENTS, [*begun, event(_error(word))])


def completion(choices: list[dict[str, Any]], used: Mapping[str, Any]) -> Spoken:
    """A whole answer with these choices."""
    body = {**_HEAD, "object": "chat.completion", "choices": choices, "usage": used}
    return Spoken(JSON, [json.dumps(body).encode()])


def chunks(choices: list[dict[str, Any]], used: Mapping[str, Any]) -> Spoken:
    """A stream with a chunk for each of these."""
    blocks = [_chunk(choices=[choice]) for choice in choices]
    return Spoken(EVENTS, [*blocks, _chunk(choices=[], usage=used), b"data: [DONE]\n\n"])


def usage(said: Said) -> dict[str, Any]:
    """What the answer cost."""
    return {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": said.completion_tokens,
        "total_tokens": said.prompt_tokens + said.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": said.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
    }


def _choice(said: Said) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": None}
    if said.reasoning:
        message["reasoning_content"] = said.reasoning
    if said.calls:
        message["tool_calls"] = [_call(call) for call in said.calls]
    if said.pictures:
        message["images"] = [_picture(data) for data in said.pictures]
    return {"index": 0, "message": message, "logprobs": None, "finish_reason": said.finish}


def _call(call: Called) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _picture(data: bytes) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _talk(said: Said) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": "", "refusal": None}
    yield from ({"reasoning_content": piece} for piece in parts(said.reasoning))
    yield from ({"content": piece} for piece in parts(said.text))


def _deltas(said: Said) -> Iterator[dict[str, Any]]:
    yield from map(_piece, _talk(said))
    for index, call in enumerate(said.calls):
        whole = _call(call)
        arguments = whole["function"].pop("arguments")
        begun = {**whole, "index": index, "function": {**whole["function"], "arguments": ""}}
        yield _piece({"tool_calls": [begun]})
        for piece in parts(arguments):
            yield _piece({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    for data in said.pictures:
        yield _piece({"images": [_picture(data)]})
    yield _piece({}, said.finish)


def _piece(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _chunk(**more: Any) -> bytes:
    return event({**_HEAD, "object": "chat.completion.chunk", "usage": None, **more})


def _error(word: str) -> dict[str, Any]:
    message = f"It is like this: {word}."
    return {"error": {"message": message, "type": _FAULTS[word][1], "param": None, "code": word}}
