"""Anthropic's Messages API on the way in: its request becomes chat's, with nothing left out that matters.

https://platform.claude.com/docs/en/api/messages

Members that nobody knows go to the provider untouched. What has no effect on the answer is passed over:
where to cache (`cache_control`), `metadata.user_id` (few providers take a user, and for such a hint none
must be passed over), `context_management` (the whole conversation is sent), `fallbacks` (choosing is done
here). What would have one, and cannot be had from other providers, is refused by its name.
"""

from typing import Any

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.options_pb2 import JsonSchema, ResponseFormat, StreamOptions
from server.ingress.base import Asked
from server.ingress.messages.content import conversation, system
from server.ingress.messages.events import MessagesAnswer
from server.ingress.messages.tools import read as read_tools
from server.ingress.steering import steer
from server.ingress.wire import Members, body, fault

_HINTS = (
    "cache_control",
    "context_management",
    "diagnostics",
    "fallbacks",
    "fallback_credit_token",
    "user_profile_id",
    "workspace_id",
    "anthropic_version",
    "anthropic_beta",
    "betas",
)
_REFUSED = {
    "container": "needs Anthropic's code execution: leave it out",
    "mcp_servers": "are called by Anthropic alone: call them yourself and give their tools in tools",
    "compaction": "is not served: ask for a summary in messages",
    "thread": "is not served, as nothing is stored here: send the whole conversation in messages",
    "inference_geo": "cannot be promised for other providers: choose one by provider",
    "billing_policy": "is not served: every provider bills the key that is set for it",
}
_EMPTY = (b"[]", b"{}")
# What the contract's fields are called here, where that is something else.
_NAMES = {
    "max_completion_tokens": "max_tokens",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "providers": "provider",
    "reasoning_effort": "thinking",
    "response_format": "output_config.format",
    "stop": "stop_sequences",
    "stream_options": "stream",
    "web_search_options": "tools",
}
# What agents send with every request, whatever the model.
_DISPENSABLE = ("reasoning_effort", "parallel_tool_calls")
# The most tokens to think with that make a low and a medium effort: the budgets that Claude Code has used
# for "think", "think hard" and "ultrathink" (4,000, 10,000 and 31,999) are low, medium and high.
_LOW, _MEDIUM = 4_096, 16_384
_STRICT_NAME = "answer"  # of the schema: chat wants a name, and Anthropic has none


def read(content: bytes) -> Asked:
    """Reads the body of `POST /v1/messages`. Raises `InvalidRequest`, which names the field."""
    asked = body(content)
    for name, what in _REFUSED.items():
        value = asked.raw(name)
        if value is not None and bytes(value) not in _EMPTY:
            raise fault(name, what)
    stream = asked.flag("stream") or False
    max_tokens = asked.whole("max_tokens")
    if max_tokens is None:
        raise fault("max_tokens", "is required: a whole number")
    thinking, output = asked.object("thinking"), asked.object("output_config")
    effort, shows = _effort(thinking, output)
    tools = read_tools(asked)
    request = CreateCompletionRequest(
        model=asked.text("model") or "",
        messages=[*system(asked), *conversation(asked)],
        max_completion_tokens=max_tokens,
        temperature=asked.number("temperature"),
        top_p=asked.number("top_p"),
        stop=asked.texts("stop_sequences"),
        tools=tools.tools,
        tool_choice=tools.choice,
        parallel_tool_calls=tools.parallel,
        web_search_options=tools.web_search,
        reasoning_effort=effort,
        response_format=_response_format(asked, output),
        service_tier=_service_tier(asked),
        stream_options=StreamOptions(include_usage=True) if stream else None,
        **_chat_members(asked),
    )
    steer(asked, request)
    _pass_on(asked, request, thinking=thinking, output_config=output)
    answer = MessagesAnswer(model=request.model, stops=tuple(request.stop), shows_thoughts=shows)
    return Asked(request, stream, answer, names=_NAMES, hints=_DISPENSABLE)


def _effort(thinking: Members | None, output: Members | None) -> tuple[str | None, bool]:
    """How hard to think, and whether to show the thoughts.

    An effort that is named stands before a budget. `adaptive` leaves it to the model, as does saying
    nothing.
    https://platform.claude.com/docs/en/build-with-claude/effort
    https://platform.claude.com/docs/en/build-with-claude/extended-thinking
    """
    effort = output.text("effort") if output else None
    if output:
        output.skip("task_budget")  # advice to the model, which others are not given
    if thinking is None:
        return effort, True
    kind = thinking.required_text("type")
    budget = thinking.whole("budget_tokens")
    shows = thinking.text("display") != "omitted"
    if kind in ("disabled", "between_tools"):
        return None, shows
    if kind == "adaptive":
        return effort, shows
    if kind != "enabled":
        raise fault(thinking.where("type"), "must be enabled, adaptive, between_tools or disabled")
    if budget is None:
        raise fault(thinking.where("budget_tokens"), "is required: a whole number")
    by_budget = "low" if budget <= _LOW else "medium" if budget <= _MEDIUM else "high"
    return effort or by_budget, shows


def _response_format(asked: Members, output: Members | None) -> ResponseFormat | None:
    """The JSON Schema of the answer. `output_format` is where it was while the feature was in beta.

    https://platform.claude.com/docs/en/build-with-claude/structured-outputs
    """
    older = asked.object("output_format")
    form = (output.object("format") if output else None) or older
    if form is None:
        return None
    if form.required_text("type") != "json_schema":
        raise fault(form.where("type"), "must be json_schema")
    schema = form.json("schema")
    if schema is None:
        raise fault(form.where("schema"), "is required: an object")
    json_schema = JsonSchema(name=_STRICT_NAME, schema=schema, strict=True)
    form.leave(json_schema)
    return ResponseFormat(type="json_schema", json_schema=json_schema)


def _service_tier(asked: Members) -> str | None:
    """`auto` and the standard speed go without saying; `standard_only` is chat's `default`.

    https://platform.claude.com/docs/en/api/service-tiers
    """
    tier, speed = asked.text("service_tier"), asked.text("speed")
    if speed not in (None, "standard"):
        return speed
    return {"auto": None, "standard_only": "default"}.get(tier or "auto", tier)


def _chat_members(asked: Members) -> dict[str, Any]:
    """Members of chat that Anthropic's API lacks, for callers who give them all the same."""
    return {
        "seed": asked.whole("seed"),
        "presence_penalty": asked.number("presence_penalty"),
        "frequency_penalty": asked.number("frequency_penalty"),
        "safety_identifier": asked.text("safety_identifier"),
        "prompt_cache_key": asked.text("prompt_cache_key"),
        "user": asked.text("user"),
    }


def _pass_on(asked: Members, request: CreateCompletionRequest, **opened: Members | None) -> None:
    """What nobody knows goes to the provider, also what is in the objects that were opened here."""
    if (metadata := asked.object("metadata")) is not None:
        metadata.text("user_id")
    asked.skip(*_HINTS, *(() if asked.has("top_k") else ("top_k",)))
    for name, members in opened.items():
        if members is not None:
            asked.put_back(name, members)
    asked.leave(request)
