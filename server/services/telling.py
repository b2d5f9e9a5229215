"""How a call is told of beside its answer: in the headers of REST, and in one line of the log."""

import json
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from server.errors import Attempt, InterferenceError
from server.services.call import Call

_MAX_HEADER = 1024  # bytes of the header about the attempts
_MAX_ID = 128  # characters of a request id, which is the caller's to choose
_MAX_NAME = 256  # characters of a model's name
_MAX_WORD = 64  # characters of a word for programs
_MAX_TOLD = 64  # attempts in a line
_PLAIN = re.compile(rf"[!-$&-~]{{1,{_MAX_NAME}}}")  # is written as it is in a header: no space, no `%`

Headers = tuple[tuple[str, str], ...]


def headers(call: Call) -> Headers:
    """Who answers, and the attempts up to now."""
    served = call.journal.served
    attempts = attempts_header(call.journal.attempts)
    if served is None:
        return attempts
    provider = ("x-interference-provider", served.provider)
    if not served.model:
        return provider, *attempts
    return provider, ("x-interference-model", _model(served.model)), *attempts


def _model(name: str) -> str:
    """A model's name in printable ASCII without spaces; each byte of anything else is written as `%XX`."""
    if _PLAIN.fullmatch(name):
        return name
    left, kept = _MAX_NAME, []
    for character in name:
        written = character if _PLAIN.fullmatch(character) else _escaped(character)
        left -= len(written)
        if left < 0:
            break
        kept.append(written)
    return "".join(kept)


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="replace"))


def attempts_header(attempts: Sequence[Attempt]) -> Headers:
    """A list of the providers as a structured field (RFC 9651), the cause and duration of each attempt
    as parameters. Where it would be too long, the last are left out.
    """
    kept: list[str] = []
    left = _MAX_HEADER
    for item in map(_item, attempts):
        left -= len(item) + 2
        if left < 0:
            break
        kept.append(item)
    return (("x-interference-attempts", ", ".join(kept)),) if kept else ()


def _item(attempt: Attempt) -> str:
    """A provider's id has no characters that a string of RFC 9651 must escape."""
    item = f'"{attempt.provider}"'
    if attempt.cause:
        item += f";cause={attempt.cause}"
    if attempt.duration_ms is not None:
        item += f";duration_ms={attempt.duration_ms:.1f}"
    return item


class _Tried(msgspec.Struct, omit_defaults=True, gc=False):
    """An attempt, without the upstream's words: they may repeat what the caller said."""

    provider: str
    model: str = ""
    cause: str = ""
    status: int | None = None
    duration_ms: float | None = None


class _Failed(msgspec.Struct, omit_defaults=True, gc=False):
    """What a call ended with, by names alone."""

    reason: str
    param: str = ""


class _Line(msgspec.Struct, omit_defaults=True, gc=False):
    """The line of a call. What is not known is left out."""

    time: str
    event: str
    request_id: str = ""
    method: str = ""
    via: str = ""
    status: str = ""
    model: str = ""
    provider: str = ""
    attempts: list[_Tried] = []
    time_to_first_content_ms: float | None = None
    total_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error: _Failed | None = None


_ENCODER = msgspec.json.Encoder()


def line(call: Call, method: str, status: str) -> bytes:
    """The line of a call that has ended: one JSON object in printable ASCII, and a line feed."""
    journal = call.journal
    read, written = journal.usage or (None, None)
    total = journal.total_ms
    return _encoded(
        _Line(
            _now(),
            "call",
            call.headers.get("x-request-id", "")[:_MAX_ID],
            method,
            "rest" if call.rest else "grpc",
            status,
            journal.model[:_MAX_NAME],
            "" if journal.served is None else journal.served.provider,
            [_tried(attempt) for attempt in journal.attempts[:_MAX_TOLD]],
            journal.first_content_ms,
            journal.elapsed_ms() if total is None else total,
            read,
            written,
            None if call.error is None else _failed(call.error),
        )
    )


def _now() -> str:
    """The time in UTC, to the millisecond."""
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}+00:00"


@lru_cache(maxsize=1)  # most calls end in the same second as the one before
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _tried(attempt: Attempt) -> _Tried:
    return _Tried(
        attempt.provider, attempt.model[:_MAX_NAME], attempt.cause, attempt.status, attempt.duration_ms
    )


def _failed(error: InterferenceError) -> _Failed:
    return _Failed(error.reason[:_MAX_WORD], (error.param or "")[:_MAX_WORD])


def _encoded(told: _Line) -> bytes:
    """Escapes all but ASCII, where there is any: other characters may end a line for who reads it, or
    steer a terminal.
    """
    try:
        encoded = _ENCODER.encode(told)
        if encoded.isascii() and 0x7F not in encoded:  # a byte: bytes are tried as a number first
            return encoded + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair
        pass
    text = json.dumps(msgspec.to_builtins(told)).replace("\x7f", "\\u007f")
    return text.encode() + b"\n"
