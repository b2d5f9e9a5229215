"""Answers of Gemini's in OpenAI's words: candidates as choices, and what they cost.

https://ai.google.dev/api/generate-content#generatecontentresponse. What OpenAI has no word for comes back
in `extra`, of the object that it belongs to, as Gemini says it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from server.drivers import answers, failures
from server.drivers.base import Target
from server.drivers.gemini import said
from server.drivers.gemini.said import Calls, Json
from server.errors import AttemptFailed

# Gemini's words for why it ended. All others are told as they are, in lower case.
_FINISHES = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
}
_PLAIN = ("STOP", "MAX_TOKENS")
_BROKEN = ("MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL")
_UNSIGNED = "MISSING_THOUGHT_SIGNATURE"
_NOT_YET = ("", "FINISH_REASON_UNSPECIFIED")
_READ = ("content", "index", "finishReason")
_NAMED = ("candidates", "usageMetadata", "modelVersion", "responseId")


@dataclass(slots=True)
class Progress:
    """How far a choice has come: one each, kept over the chunks of a stream.

    `reason` is why it ended, as was said last, and `beside` what was said with that. `blocked` is whether
    the choice tells of a prompt that was blocked.
    """

    begun: bool = False
    blocked: bool = False
    reason: str = ""
    beside: Json = field(default_factory=dict)
    calls: Calls = field(default_factory=Calls)


class Reader:
    """Reads an answer, whole (`member` is what its choices have, `message`) or piece by piece (`delta`).

    Of pieces `ends` says why the choices ended, once all were read: some models say `STOP` with each piece.
    """

    def __init__(self, target: Target, member: str) -> None:
        self._target = target
        self._member = member
        self._choices: dict[int, Progress] = {}

    def read(self, decoded: Json) -> Json:
        """The choices and what is beyond them, without the usage.

        Raises `AttemptFailed` for what is of another shape, and for an answer that failed.
        """
        candidates = decoded.get("candidates") or []
        if not isinstance(candidates, list) or not all(isinstance(one, dict) for one in candidates):
            raise AttemptFailed(answers.BROKEN, "answered with candidates of another shape")
        read = (self._choice(one, place) for place, one in enumerate(candidates))
        choices = [choice for choice in read if choice is not None]
        if not candidates and (blocked := self._blocked(decoded.get("promptFeedback"))):
            choices = [blocked]
        made: Json = {"choices": choices}
        for ours, theirs in (("id", "responseId"), ("model", "modelVersion")):
            if isinstance(decoded.get(theirs), str):
                made[ours] = decoded[theirs]
        rest = {name: value for name, value in decoded.items() if name not in _NAMED}
        return made | ({"extra": rest} if rest else {})

    def ends(self) -> Iterator[Json]:
        """The choices that have ended, each with why and nothing else."""
        for index, progress in sorted(self._choices.items()):
            if progress.reason and not progress.blocked:
                extra = {"extra": progress.beside} if progress.beside else {}
                yield {"index": index, self._member: {}, "finish_reason": _finish(progress), **extra}

    def _choice(self, candidate: Json, place: int) -> Json | None:
        """A choice; None for a piece that says no more than that the choice has ended."""
        index = candidate.get("index", place)
        if type(index) is not int or not 0 <= index < 2**31:
            raise AttemptFailed(answers.BROKEN, "answered with a candidate that is none")
        progress = self._choices.setdefault(index, Progress())
        content = candidate.get("content")
        message = self._role(progress) | said.read(content, progress.calls)
        if self._member == "message":
            for call in message.get("tool_calls", ()):
                del call["index"]
        choice: Json = {"index": index, self._member: message}
        rest = {name: value for name, value in candidate.items() if name not in _READ}
        if (logprobs := said.logprobs(rest.get("logprobsResult"))) is not None:
            choice["logprobs"] = logprobs
            del rest["logprobsResult"]
        reason = candidate.get("finishReason")
        if reason is not None and reason not in _NOT_YET:
            self._end(reason, rest, progress)
            if self._member == "message":
                choice["finish_reason"] = _finish(progress)
                rest |= progress.beside
            elif not message and not rest and "logprobs" not in choice:
                return None
        return choice | ({"extra": rest} if rest else {})

    def _role(self, progress: Progress) -> Json:
        if progress.begun:
            return {}
        progress.begun = True
        return {"role": "assistant"}

    def _end(self, reason: Any, rest: Json, progress: Progress) -> None:
        """Takes why a choice ended, and out of `rest` what belongs to that."""
        if not isinstance(reason, str):
            raise AttemptFailed(answers.BROKEN, "ended for a reason that is no word")
        if reason == _UNSIGNED:
            lack = "its model wants the thought signatures of its calls back"
            raise AttemptFailed("parameter_unsupported", lack, param="messages", blame=False)
        if reason in _BROKEN:
            told = f"its answer ended with {reason}: {rest.get('finishMessage') or 'no more was said'}"
            raise failures.read(200, {}, {"error": {"message": told}}, self._target)
        progress.reason = reason
        progress.beside = {} if reason in _PLAIN else {"native_finish_reason": reason}
        if "finishMessage" in rest:
            progress.beside["finishMessage"] = rest.pop("finishMessage")

    def _blocked(self, feedback: Any) -> Json | None:
        """The choice that says that the prompt was blocked, which leaves no candidates."""
        reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
        progress = self._choices.setdefault(0, Progress())
        if not isinstance(reason, str) or not reason or progress.blocked or progress.reason:
            return None
        progress.blocked = True
        told = feedback.get("blockReasonMessage")
        why = f"The prompt was blocked: {reason}." + (f" {told}" if isinstance(told, str) and told else "")
        return {
            "index": 0,
            self._member: self._role(progress) | {"refusal": why},
            "finish_reason": "content_filter",
            "extra": {"native_finish_reason": reason},
        }


def _finish(progress: Progress) -> str:
    if progress.reason == "STOP" and progress.calls.made:
        return "tool_calls"
    return _FINISHES.get(progress.reason, progress.reason.lower()[:64])


def usage(told: Any) -> Json | None:
    """What an answer cost; None where that is not told.

    Tokens of what server-side tools gave are read as the prompt is, thoughts are written as the answer is:
    https://ai.google.dev/api/generate-content#UsageMetadata
    """
    if not isinstance(told, dict) or not told:
        return None
    rest = dict(told)
    prompt = _take(rest, "promptTokenCount")
    tools = _take(rest, "toolUsePromptTokenCount")
    written = _take(rest, "candidatesTokenCount")
    thoughts = _take(rest, "thoughtsTokenCount")
    cached = _take(rest, "cachedContentTokenCount")
    total = _take(rest, "totalTokenCount")
    read, answered = (prompt or 0) + (tools or 0), (written or 0) + (thoughts or 0)
    made: Json = {
        "prompt_tokens": read,
        "completion_tokens": answered,
        "total_tokens": read + answered if total is None else total,
    }
    if tools:
        rest["toolUsePromptTokenCount"] = tools
    details = _modalities(rest, "promptTokensDetails")
    if cached is not None:
        details["cached_tokens"] = cached
    if details:
        made["prompt_tokens_details"] = details
    details = _modalities(rest, "candidatesTokensDetails")
    if thoughts is not None:
        details["reasoning_tokens"] = thoughts
    if details:
        made["completion_tokens_details"] = details
    return made | ({"extra": rest} if rest else {})


def _take(counts: Json, name: str) -> int | None:
    """Takes a count out; one that is none stays."""
    value = counts.get(name)
    if type(value) is not int or not 0 <= value < 2**31:
        return None
    del counts[name]
    return value


def _modalities(counts: Json, name: str) -> Json:
    """Takes the counts of a list out, by what they are of; one of another shape stays."""
    listed = counts.get(name)
    try:
        found = msgspec.convert(listed, list[_Modality])
    except msgspec.ValidationError:
        return {}
    counts.pop(name, None)
    return {f"{one.modality.lower()}_tokens": one.tokens for one in found}


class _Modality(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    modality: str
    tokens: int = msgspec.field(name="tokenCount", default=0)
