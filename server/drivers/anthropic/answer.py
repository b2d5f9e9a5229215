"""What an answer in this dialect says, in OpenAI's JSON: whole ones and streamed ones say it alike.

https://platform.claude.com/docs/en/api/messages
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from server.drivers import answers
from server.drivers.anthropic.wire import without
from server.errors import AttemptFailed

Json = dict[str, Any]

MOST: Final = 10_000  # blocks of an answer; nobody answers with more
_FINISH: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_TOLD_WHOLE: Final = "model_context_window_exceeded"  # whose word says less, so that its own is kept
_TIERS: Final = {"standard": "default"}
_COUNTED: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
# The order in which chat has them: an answer of these, in this order, needs no more to be told whole.
_ORDER: Final = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}
_MEMBERS: Final = {
    "thinking": ("type", "thinking", "signature"),
    "text": ("type", "text"),
}


def spare(members: Json, *known: str) -> Json:
    """What is added beyond the known members, without what is null."""
    return {name: value for name, value in without(members, *known).items() if value is not None}


def adding(extra: Json) -> Json:
    """The member `extra`, where there is anything in it."""
    return {"extra": extra} if extra else {}


def text(block: Json, name: str) -> str:
    """A member that must be a text; nothing where it is missing."""
    value = block.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise AttemptFailed(answers.BROKEN, f"answered with {name} that is not text")
    return value


def member(holder: Json, name: str) -> Json:
    """A member that must be an object."""
    value = holder.get(name)
    if not isinstance(value, dict):
        raise AttemptFailed(answers.BROKEN, f"answered with no object as {name}")
    return value


def ending(delta: Json) -> Json:
    """Why an answer ended, and what of that OpenAI has no word for, as members of a choice.

    https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
    """
    reason = text(delta, "stop_reason")
    told = spare(delta, "stop_reason", "stop_sequence", "container")
    if reason == _TOLD_WHOLE:
        told["stop_reason"] = reason
    if delta.get("stop_sequence") is not None:
        told["stop_sequence"] = delta["stop_sequence"]
    return ({"finish_reason": _FINISH.get(reason, reason)} if reason else {}) | adding(told)


def usage(counted: Any) -> Json:
    """The members `usage` and `service_tier`. Anthropic counts what a cache has apart; of what is no number
    nothing is counted."""
    if not isinstance(counted, dict):
        return {}
    given, written, read, created = (_count(counted.get(name)) for name in _COUNTED)
    known = [name for name in _COUNTED if _is_count(counted.get(name))]
    made: Json = {
        "prompt_tokens": given + read + created,
        "completion_tokens": written,
        "total_tokens": given + read + created + written,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": created},
    }
    details = counted.get("output_tokens_details")
    if isinstance(details, dict) and _is_count(thought := details.get("thinking_tokens")):
        known.append("output_tokens_details")
        made["completion_tokens_details"] = {"reasoning_tokens": thought} | spare(
            details, "thinking_tokens"
        )
    tier = counted.get("service_tier")
    if not isinstance(tier, str):
        return {"usage": made | spare(counted, *known)}
    return {"usage": made | spare(counted, *known, "service_tier"), "service_tier": _TIERS.get(tier, tier)}


def _count(value: Any) -> int:
    return int(value) if _is_count(value) else 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def annotations(citations: Iterable[Any], start: int, end: int) -> Iterator[Json]:
    """What a stretch of the text rests on: web pages as OpenAI tells of them, others in Anthropic's words.

    https://platform.claude.com/docs/en/build-with-claude/citations
    """
    for citation in citations:
        if not isinstance(citation, dict):
            raise AttemptFailed(answers.BROKEN, "answered with citations of another shape")
        kind = text(citation, "type")
        if kind == "web_search_result_location":
            stretch = {"start_index": start, "end_index": end}
            yield {"type": "url_citation", "url_citation": stretch | spare(citation, "type")}
        else:
            yield {"start_index": start, "end_index": end, **spare(citation, "type"), "type": kind}


def call(block: Json, index: int | None, arguments: str) -> Json:
    """A call of a tool."""
    made: Json = {
        "id": text(block, "id"),
        "type": "function",
        "function": {"name": text(block, "name"), "arguments": arguments},
        **adding(spare(block, "type", "id", "name", "input")),
    }
    return made if index is None else {"index": index, **made}


def is_told_whole(blocks: list[Json]) -> bool:
    """Whether thoughts, text and calls tell all that the blocks do, their order too."""
    places = [_ORDER.get(block["type"]) for block in blocks]
    if None in places or places != sorted(place for place in places if place is not None):
        return False
    return not any(spare(block, *known) for block in blocks if (known := _MEMBERS.get(block["type"])))


def given_back(blocks: list[Json]) -> Json:
    """What a caller has to give back with an answer, as members of its `extra`.

    Thoughts are signed, and must come back as they were. Blocks that chat has no like for, or another order
    for, come back all of them.
    """
    thoughts = [block for block in blocks if block["type"] in ("thinking", "redacted_thinking")]
    extra: Json = {"thinking_blocks": thoughts} if thoughts else {}
    return extra if is_told_whole(blocks) else extra | {"content_blocks": blocks}


def encoded(value: Any) -> str:
    """JSON as text."""
    return msgspec.json.encode(value).decode()
