"""How models are told how hard to think: Converse has a word for it, and most models one of their own."""

from fnmatch import fnmatchcase
from typing import Any, Final

from server.drivers.base import Target
from server.drivers.bedrock import options
from server.drivers.bedrock.options import Style
from server.errors import AttemptFailed

Members = dict[str, Any]

# The style of models by their ids, the first that matches; others are told in Converse's own word.
_STYLES: Final[tuple[tuple[str, Style], ...]] = (
    # https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html
    ("*claude-3-*", "budget"),
    ("*claude-*-4-20[0-9]*", "budget"),
    ("*claude-opus-4-1*", "budget"),
    ("*claude-*-4-5*", "budget"),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html
    ("*anthropic.claude-*", "adaptive"),
    # https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html
    ("*amazon.nova-*", "nova"),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html
    ("*openai.*", "openai"),
)
_BUDGETS: Final = {"low": 2048, "medium": 8192, "high": 24_576, "xhigh": 32_768, "max": 49_152}
_LEAST_BUDGET: Final = 1024  # tokens
_OFF: Final = {"thinking": {"type": "disabled"}}


def of(effort: str, max_tokens: int | None, target: Target) -> tuple[Members, Members]:
    """What an effort is in the members of `additionalModelRequestFields` and of `outputConfig`.

    Raises `AttemptFailed` for an effort that the model does not have.
    """
    style = _style(target)
    if style == "openai":
        return {"reasoning_effort": effort}, {}
    if style == "nova":
        return {"reasoningConfig": _nova(effort)}, {}
    if style == "budget":
        return {"thinking": _budget(effort, max_tokens)} if effort != "none" else _OFF, {}
    if style == "adaptive" and effort == "none":
        return _OFF, {}
    if effort not in _BUDGETS:
        raise _lacking(effort)
    return {"thinking": {"type": "adaptive"}} if style == "adaptive" else {}, {"effort": effort}


def _style(target: Target) -> Style:
    told = (*options.of(target.row).thinking.items(), *_STYLES)
    return next((style for glob, style in told if fnmatchcase(target.model, glob)), "effort")


def _nova(effort: str) -> Members:
    if effort == "none":
        return {"type": "disabled"}
    if effort not in ("low", "medium", "high"):
        raise _lacking(effort)
    return {"type": "enabled", "maxReasoningEffort": effort}


def _budget(effort: str, max_tokens: int | None) -> Members:
    """Thinking is part of what may be written, and needs a budget below that."""
    budget = _BUDGETS.get(effort)
    if budget is None:
        raise _lacking(effort)
    if max_tokens is not None:
        budget = min(budget, max_tokens - 1)
    if budget < _LEAST_BUDGET:
        raise AttemptFailed(
            "parameter_unsupported",
            f"the model thinks in no fewer than {_LEAST_BUDGET} tokens: max_tokens leaves no room for it",
            param="max_tokens",
        )
    return {"type": "enabled", "budget_tokens": budget}


def _lacking(effort: str) -> AttemptFailed:
    return AttemptFailed(
        "parameter_unsupported", f"the model has no reasoning_effort {effort}", param="reasoning_effort"
    )
