"""What a caller heard, the same whether it came whole or in chunks, and what is to be heard."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.conformance.said import Said

Members = dict[str, Any]


def expected(said: Said, *, usage: bool) -> Members:
    """What `heard` gives of an answer that says this."""
    choice: Members = {"finish": said.finish}
    if said.text:
        choice["text"] = said.text
    if said.reasoning:
        choice["reasoning"] = said.reasoning
    if said.calls:
        choice["calls"] = [(call.name, dict(call.arguments)) for call in said.calls]
        choice["ids"] = [call.id for call in said.calls]
    if said.pictures:
        url = "data:image/png;base64,{}"
        choice["pictures"] = [url.format(base64.b64encode(one).decode()) for one in said.pictures]
    return {"choices": [choice]} | (_cost(said) if usage else {})


def _cost(said: Said) -> Members:
    total = said.prompt_tokens + said.completion_tokens
    cost: Members = {"prompt": said.prompt_tokens, "completion": said.completion_tokens, "total": total}
    if said.cached_tokens:
        cost["cached"] = said.cached_tokens
    if said.reasoning_tokens:
        cost["thought"] = said.reasoning_tokens
    return {"usage": cost}


def heard(chunks: Sequence[Members]) -> Members:
    """`choices`, each with `finish` and perhaps `text`, `reasoning`, `refusal`, `calls` (name and
    arguments), their `ids`, `pictures` (addresses) and `logprobs` (token and number); and `usage`, where it
    is told: `prompt`, `completion`, `total`, and perhaps `cached` and `thought`.
    """
    choices: dict[int, Members] = {}
    for chunk in chunks:
        for choice in chunk.get("choices", ()):
            said = choices.setdefault(choice.get("index", 0), {})
            _hear(said, choice, choice.get("message") or choice.get("delta") or {})
    whole: Members = {"choices": [_settled(choices[index]) for index in sorted(choices)]}
    usages = [chunk["usage"] for chunk in chunks if "usage" in chunk]
    return whole | ({"usage": _spent(usages[-1])} if usages else {})


def _hear(said: Members, choice: Members, piece: Members) -> None:
    for ours, theirs in (("text", "content"), ("reasoning", "reasoning"), ("refusal", "refusal")):
        if piece.get(theirs):
            said[ours] = said.get(ours, "") + piece[theirs]
    for place, call in enumerate(piece.get("tool_calls", ())):
        known = said.setdefault("called", {}).setdefault(call.get("index", place), ["", "", ""])
        function = call.get("function", {})
        for part, text in enumerate((call.get("id"), function.get("name"), function.get("arguments"))):
            known[part] += text or ""
    for picture in (piece.get("extra") or {}).get("images", ()):
        said.setdefault("pictures", []).append(picture["image_url"]["url"])
    for likely in (choice.get("logprobs") or {}).get("content", ()):
        said.setdefault("logprobs", []).append((likely.get("token"), likely.get("logprob")))
    if choice.get("finish_reason"):
        said["finish"] = choice["finish_reason"]


def _settled(said: Members) -> Members:
    called = said.pop("called", None)
    if called:
        calls = [called[index] for index in sorted(called)]
        said["ids"] = [call_id for call_id, _, _ in calls]
        said["calls"] = [(name, json.loads(arguments)) for _, name, arguments in calls]
    return said


def _spent(usage: Mapping[str, Any]) -> Members:
    names = {"prompt": "prompt_tokens", "completion": "completion_tokens", "total": "total_tokens"}
    spent: Members = {ours: usage.get(theirs) for ours, theirs in names.items()}
    cached = usage.get("prompt_tokens_details", {}).get("cached_tokens")
    thought = usage.get("completion_tokens_details", {}).get("reasoning_tokens")
    more = (("cached", cached), ("thought", thought))
    return spent | {name: count for name, count in more if count}


def check_stream(chunks: Sequence[Members], *, usage: bool) -> None:
    """The rules of a stream: each choice begins with the role, says it once, and ends once, with nothing
    after it; one id; the usage comes last and alone, exactly where it was asked for.
    """
    begun: set[int] = set()
    ended: set[int] = set()
    for chunk in chunks:
        for choice in chunk.get("choices", ()):
            index, delta = choice.get("index", 0), choice.get("delta", {})
            assert index not in ended, f"more after the end of choice {index}: {choice}"
            assert ("role" in delta) == (index not in begun), f"role of choice {index}: {choice}"
            assert delta.get("role", "assistant") == "assistant"
            begun.add(index)
            if choice.get("finish_reason"):
                ended.add(index)
    assert begun == ended
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    told = [place for place, chunk in enumerate(chunks) if "usage" in chunk]
    assert told == ([len(chunks) - 1] if usage else [])
    assert not usage or not chunks[-1].get("choices")
