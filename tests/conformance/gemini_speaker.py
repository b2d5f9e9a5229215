"""Gemini's generateContent and its stream, as Google's own SDK reads them.

https://ai.google.dev/api/generate-content; errors as https://google.aip.dev/193 has them, with the words of
https://ai.google.dev/gemini-api/docs/troubleshooting.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.said import Called, Said, Spoken

JSON, EVENTS = "application/json", "text/event-stream"
RETRY_AFTER = "7"  # seconds
HEAD = {"modelVersion": "gemini-1", "responseId": "response-1"}
FINISHES = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_RETRY = "type.googleapis.com/google.rpc.RetryInfo"
# A word for an error: its status, its canonical code, and the details beside it.
_FAULTS: Mapping[str, tuple[int, str, list[dict[str, Any]]]] = {
    "INVALID_ARGUMENT": (400, "INVALID_ARGUMENT", []),
    "API_KEY_INVALID": (
        400,
        "INVALID_ARGUMENT",
        [{"@type": _INFO, "reason": "API_KEY_INVALID", "domain": "googleapis.com"}],
    ),
    "FAILED_PRECONDITION": (400, "FAILED_PRECONDITION", []),
    "PERMISSION_DENIED": (403, "PERMISSION_DENIED", []),
    "NOT_FOUND": (404, "NOT_FOUND", []),
    "RESOURCE_EXHAUSTED": (429, "RESOURCE_EXHAUSTED", [{"@type": _RETRY, "retryDelay": f"{RETRY_AFTER}s"}]),
    "INTERNAL": (500, "INTERNAL", []),
    "UNAVAILABLE": (503, "UNAVAILABLE", []),
    "DEADLINE_EXCEEDED": (504, "DEADLINE_EXCEEDED", []),
}


def pieces(text: str, size: int = 4) -> list[str]:
    """A text in pieces."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def event(data: Mapping[str, Any]) -> bytes:
    """A server-sent event, with the ends of lines that Google writes."""
    return b"data: " + json.dumps(data).encode() + b"\r\n\r\n"


@dataclass(frozen=True)
class GeminiSpeaker:
    """Speaks Gemini's dialect."""

    name: str = "gemini"
    row: Mapping[str, Any] = field(
        default_factory=lambda: {"driver": "gemini", "key_env": "GEMINI_API_KEY"}
    )
    faults: Mapping[str, int] = field(
        default_factory=lambda: {word: status for word, (status, _, _) in _FAULTS.items()}
    )

    def streams(self, path: str, body: Any) -> bool:  # noqa: ARG002 - it is the path that says it
        """Where the method says so."""
        return ":streamGenerateContent" in path

    def whole(self, said: Said) -> Spoken:
        """A response with one candidate."""
        return whole([candidate(list(_parts(said)), FINISHES[said.finish])], usage(said))

    def stream(self, said: Said) -> Spoken:
        """Responses with what is new. Calls and images come whole; the usage so far is in each."""
        told = [[part] for part in _parts_in_pieces(said)] or [[{"text": ""}]]
        candidates = [candidate(parts) for parts in told[:-1]]
        return stream([*candidates, candidate(told[-1], FINISHES[said.finish])], usage(said))

    def fault(self, word: str) -> Spoken:
        """An error with this code, or with this reason in its details."""
        return Spoken(JSON, [json.dumps(error(word)).encode()], self.faults[word])

    def breaks(self, said: Said, word: str) -> Spoken:
        """An error in place of the next response."""
        begun = [event({**HEAD, "candidates": [candidate([part])]}) for part in _parts_in_pieces(said)]
        return Spoken(EVENTS, [*begun, event(error(word))])


def whole(candidates: list[dict[str, Any]], used: Mapping[str, Any]) -> Spoken:
    """A whole answer with these candidates."""
    return Spoken(JSON, [json.dumps({"candidates": candidates, "usageMetadata": used, **HEAD}).encode()])


def stream(candidates: list[dict[str, Any]], used: Mapping[str, Any]) -> Spoken:
    """A stream with a response for each of these."""
    head = {**HEAD, "usageMetadata": used}
    return Spoken(EVENTS, [event({**head, "candidates": [one]}) for one in candidates])


def candidate(parts: list[dict[str, Any]], finish: str = "", index: int = 0) -> dict[str, Any]:
    """A candidate that says this."""
    made: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": index}
    return {**made, "finishReason": finish} if finish else made


def usage(said: Said) -> dict[str, Any]:
    """What the answer cost; counts that are 0 are left out."""
    prompt, written = said.prompt_tokens, said.completion_tokens
    counts = {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": said.cached_tokens,
        "candidatesTokenCount": written - said.reasoning_tokens,
        "thoughtsTokenCount": said.reasoning_tokens,
        "totalTokenCount": prompt + written,
    }
    return {name: count for name, count in counts.items() if count}


def error(word: str) -> dict[str, Any]:
    """The body of an error."""
    status, code, details = _FAULTS[word]
    told: dict[str, Any] = {"code": status, "message": f"It is like this: {word}.", "status": code}
    return {"error": {**told, "details": details} if details else told}


def _parts(said: Said) -> Iterator[dict[str, Any]]:
    if said.reasoning:
        yield {"text": said.reasoning, "thought": True}
    if said.text:
        yield {"text": said.text}
    yield from _rest(said)


def _parts_in_pieces(said: Said) -> Iterator[dict[str, Any]]:
    yield from ({"text": piece, "thought": True} for piece in pieces(said.reasoning))
    yield from ({"text": piece} for piece in pieces(said.text))
    yield from _rest(said)


def _rest(said: Said) -> Iterator[dict[str, Any]]:
    yield from map(_call, said.calls)
    for data in said.pictures:
        yield {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(data).decode()}}


def _call(call: Called) -> dict[str, Any]:
    return {"functionCall": {"name": call.name, "args": dict(call.arguments), "id": call.id}}
