"""How hard a model thinks: OpenAI's words for it as the models take them.

Models of 2026 decide on their own how much to think, with an effort for advice; those before them think
within a budget of tokens, where they are told so.
https://platform.claude.com/docs/en/build-with-claude/thinking
https://platform.claude.com/docs/en/build-with-claude/effort
"""

from typing import Any, Final

from server.drivers.anthropic.options import Options, is_among
from server.drivers.anthropic.wire import untold

_EFFORTS: Final = {"minimal": "low"}  # the least there is
_BUDGETS: Final = {"minimal": 1_024, "low": 4_096, "medium": 16_384}
_LARGEST: Final = 32_000
_LEAST: Final = 1_024


def of_effort(effort: str, model: str, own: Options) -> tuple[dict[str, Any], dict[str, Any]]:
    """The members `thinking` and `output_config` that an effort makes.

    Thoughts are asked for as a summary, as the newest models send none otherwise.
    """
    if effort == "none":
        off = "between_tools" if is_among(model, own.between_tools_models) else "disabled"
        return {"type": off}, {}
    if is_among(model, own.budget_models):
        return {"type": "enabled", "budget_tokens": _BUDGETS.get(effort, _LARGEST)}, {}
    return {"type": "adaptive", "display": "summarized"}, {"effort": _EFFORTS.get(effort, effort)}


def make_room(thinking: dict[str, Any], most: int | None, default: int) -> int:
    """The most tokens to write, thoughts included, with room for an answer after the budget.

    A budget must be smaller than `most`, the caller's own limit, of which three quarters may be thoughts.
    Raises `AttemptFailed` where that leaves no room for the smallest.
    """
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int):
        return default if most is None else most
    if most is None:
        return budget + default
    if most <= _LEAST:
        raise untold("max_tokens", f"thinks in no fewer than {_LEAST} tokens, for which there is no room")
    thinking["budget_tokens"] = max(_LEAST, min(budget, most * 3 // 4))
    return most
