"""The conversation as a vendor takes it: what the profile of its row says about messages."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from server.profile import Profile

_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID_LENGTH = 9


def mend(body: dict[str, Any], profile: Profile) -> None:
    """Mends the messages and tools of a request's body in place."""
    if not (profile.reasoning or profile.roles or profile.omits or profile.tool_call_ids):
        for message in body["messages"]:
            message.pop("reasoning", None)
        return
    ids = re.compile(profile.tool_call_ids) if profile.tool_call_ids else None
    omitted = profile.omits.get("message", ())
    for message in body["messages"]:
        _mend_reasoning(message, profile)
        message["role"] = profile.roles.get(message["role"], message["role"])
        for name in omitted:
            message.pop(name, None)
        if ids is not None:
            _mend_ids(message, ids)
    if omitted := profile.omits.get("function", ()):
        for function in _functions(body):
            for name in omitted:
                function.pop(name, None)


def _functions(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for tool in body.get("tools", ()):
        if "function" in tool:
            yield tool["function"]
    yield from body.get("functions", ())


def _mend_reasoning(message: dict[str, Any], profile: Profile) -> None:
    """Gives reasoning back where the vendor takes it; to others it would be an unknown member."""
    reasoning = message.pop("reasoning", None)
    if not profile.reasoning:
        return
    if reasoning is None and profile.reasoning_required and "tool_calls" in message:
        # Of another provider's call: https://api-docs.deepseek.com/guides/thinking_mode
        reasoning = " "
    if reasoning is not None:
        message.setdefault(profile.reasoning, reasoning)


def _mend_ids(message: dict[str, Any], pattern: re.Pattern[str]) -> None:
    for call in message.get("tool_calls", ()):
        if "id" in call:
            call["id"] = _fitting(call["id"], pattern)
    if "tool_call_id" in message:
        message["tool_call_id"] = _fitting(message["tool_call_id"], pattern)


def _fitting(call_id: str, pattern: re.Pattern[str]) -> str:
    """The id where it fits, or else one of letters and digits that is always the same for it."""
    if pattern.fullmatch(call_id):
        return call_id
    number = int.from_bytes(hashlib.sha256(call_id.encode()).digest())
    return "".join(_LETTERS[number // 62**place % 62] for place in range(_ID_LENGTH))
