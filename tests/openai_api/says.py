"""What an upstream of OpenAI's dialect says: whole answers, chunks and their pieces, for the tables."""

from __future__ import annotations

from typing import Any

Members = dict[str, Any]
PLANES = '\u0000\t"\\/\u007f\u00e9\u2028\ufffd\ufeff\U0001f600\U0002a6d6\U000e0001\U0010ffff'
ODD = {"z": 1.5, "a": [1, None, True, "é", {"": {}}], "null": None, "list": []}
ENVELOPE = {"id": "up-1", "created": 1795402592, "model": "m-2027-01-01"}
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 12,
    "total_tokens": 21,
    "prompt_tokens_details": {
        "cached_tokens": 0,
        "audio_tokens": 1,
        "cache_write_tokens": 2,
        "image_tokens": 3,
        "text_tokens": 4,
    },
    "completion_tokens_details": {
        "reasoning_tokens": 5,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 6,
        "rejected_prediction_tokens": 7,
        "text_tokens": 8,
    },
}


def whole(*choices: Members, **more: Any) -> Members:
    """An upstream's whole answer."""
    return {**ENVELOPE, "object": "chat.completion", "choices": list(choices), **more}


def choice(message: Members, index: int = 0, finish_reason: str = "stop", **more: Any) -> Members:
    """A choice of a whole answer."""
    return {
        "index": index,
        "message": {"role": "assistant", **message},
        "finish_reason": finish_reason,
        **more,
    }


def chunk(*choices: Members, **more: Any) -> Members:
    """A chunk of an upstream's streamed answer."""
    return {**ENVELOPE, "object": "chat.completion.chunk", "choices": list(choices), **more}


def piece(
    index: int = 0, finish_reason: str | None = None, *, more: Members | None = None, **delta: Any
) -> Members:
    """A choice of a chunk; `more` is what it has beside its delta."""
    return {"index": index, "delta": delta, "finish_reason": finish_reason, **(more or {})}


def deltas(*pieces: Members, finish_reason: str = "stop") -> list[Members]:
    """The chunks of a choice: a role, these pieces of its message, and an end."""
    begin, end = chunk(piece(role="assistant", content="")), chunk(piece(finish_reason=finish_reason))
    return [begin, *(chunk(piece(**delta)) for delta in pieces), end]


def call(index: int | None = None, /, **members: Any) -> Members:
    """A tool call, or a piece of one."""
    return members if index is None else {"index": index, **members}


def calls(*members: Members) -> Members:
    """A delta of tool calls."""
    return {"tool_calls": list(members)}


def function(name: str | None = None, arguments: str | None = None, **more: Any) -> Members:
    """A function that is called, or a piece of it."""
    given = {"name": name, "arguments": arguments, **more}
    return {key: value for key, value in given.items() if value is not None}


def likely(token: str, logprob: float, *top: Members, **more: Any) -> Members:
    """How likely a token was, and others in its place."""
    members = {"token": token, "logprob": logprob, "bytes": list(token.encode()), **more}
    return {**members, "top_logprobs": list(top)} if top else members


ANNOTATION = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 5, "title": "T", "url": "https://a/?b=c#d"},
}
SOUND = {"id": "audio_1", "data": "UklGRg==", "expires_at": 1795402592, "transcript": "Hi"}
LIKELIHOODS = {
    "content": [
        likely("He", -0.1, likely("He", -0.1), likely("\u00e9", -2.5e-05)),
        likely("\U0001f600", 0, likely("\x00", -9999.0)),
    ],
    "refusal": [likely("No", -1.25, likely("No", -1.25))],
}
