"""What Converse tells of an answer beside what is said: why it ended, and what it cost."""

from typing import Any, Final

from server.drivers import answers
from server.drivers.bedrock import reading
from server.errors import AttemptFailed

Members = dict[str, Any]

# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_ResponseSyntax
_FINISHES: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_PLAIN: Final = frozenset({"end_turn", "tool_use", "max_tokens"})  # whose word ours says as well
_FAILED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
_COUNTS: Final = (
    *("inputTokens", "outputTokens", "totalTokens"),
    *("cacheReadInputTokens", "cacheWriteInputTokens"),
)


def finish(reason: Any) -> Members:
    """Why it ended, as members of a choice. Raises `AttemptFailed` where it ended in nothing of use."""
    word = reading.text(reason)
    if word in _FAILED:
        raise AttemptFailed(answers.BROKEN, f"its model's answer ended with {word}")
    ours: Members = {"finish_reason": _FINISHES.get(word, word or "stop")}
    return ours if word in _PLAIN else ours | {"extra": {"stop_reason": word}}


def usage(told: Any) -> Members:
    """What it cost. Tokens of the prompt that were cached are not among Bedrock's `inputTokens`.

    https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
    """
    given = reading.members(told)
    taken, written, _, read, kept = (reading.count(given.get(name)) for name in _COUNTS)
    prompt = taken + read + kept
    usage: Members = {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        **adding({name: value for name, value in given.items() if name not in _COUNTS}),
    }
    if read or kept:
        usage["prompt_tokens_details"] = {"cached_tokens": read, "cache_write_tokens": kept}
    return usage


def rest(told: Members, *known: str) -> Members:
    """What is told beyond these, as members of an answer: the tier that served it, and the rest."""
    own = {name: value for name, value in told.items() if name not in known and value is not None}
    tier = own.get("serviceTier")
    if isinstance(tier, dict) and isinstance(tier.get("type"), str):
        del own["serviceTier"]
        return {"service_tier": tier["type"]} | adding(own)
    return adding(own)


def adding(own: Members) -> Members:
    """What is the provider's own, where there is anything."""
    return {"extra": own} if own else {}
