"""What the generations of models differ in, by their names, and how hard each can be told to think.

https://ai.google.dev/gemini-api/docs/thinking; the budgets of 2.5 are those that Google itself reads
OpenAI's words as: https://ai.google.dev/gemini-api/docs/openai#thinking
"""

import re
from typing import Any

from server.drivers.gemini import wire

_VERSION = re.compile(r"gemini-(\d{1,3})(?:\.(\d{1,3}))?(?![\d])")
_LATEST = re.compile(r"gemini-[a-z-]*latest")
_NEWEST = (1000, 0)
# Models that do something else than think and write.
_OTHERS = re.compile(r"image|tts|live|audio|embedding|robotics|computer-use")
_BUDGETS = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576}


def version(model: str) -> tuple[int, int] | None:
    """The generation by the model's name; None of other families, such as Gemma."""
    found = _VERSION.search(model)
    if found:
        return int(found[1]), int(found[2] or 0)
    return _NEWEST if _LATEST.search(model) else None


def is_signed(model: str) -> bool:
    """Whether calls of tools have to be given back with their thought signatures."""
    known = version(model)
    return known is not None and known >= (3, 0) and not _OTHERS.search(model)


def takes_media_of_tools(model: str) -> bool:
    """Whether what a tool says may hold more than text."""
    return (version(model) or _NEWEST) >= (3, 0)


def thinking(model: str, effort: str) -> dict[str, Any]:
    """The `thinkingConfig`; empty where nothing is to be said. Thoughts are asked for where there are any.

    Raises `AttemptFailed` for what the generation cannot be told.
    """
    known = version(model)
    if not effort:
        thinks = known is not None and known >= (2, 5) and not _OTHERS.search(model)
        return {"includeThoughts": True} if thinks else {}
    if effort == "none":
        return _none(model, known)
    if known is not None and known < (3, 0):
        if effort not in _BUDGETS:
            raise _cannot(model, effort)
        return {"includeThoughts": True, "thinkingBudget": _BUDGETS[effort]}
    if effort == "minimal" and _starts_at_low(model, known):
        effort = "low"
    return {"includeThoughts": True, "thinkingLevel": effort.upper()}


def _none(model: str, known: tuple[int, int] | None) -> dict[str, Any]:
    always = known is not None and ((3, 0) <= known < (4, 0) or (known < (3, 0) and "pro" in model))
    if always:
        raise _cannot(model, "none")
    return {"thinkingBudget": 0}


def _starts_at_low(model: str, known: tuple[int, int] | None) -> bool:
    if "pro" in model:
        return True
    return known is not None and known >= (3, 7) and "lite" not in model


def _cannot(model: str, effort: str) -> Exception:
    return wire.lacking("reasoning_effort", f"{model} cannot be told the reasoning effort {effort}")
