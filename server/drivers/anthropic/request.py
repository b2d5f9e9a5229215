"""A chat request as the body of POST /messages.

https://platform.claude.com/docs/en/api/messages
"""

from typing import Any, Final

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.options_pb2 import PromptCacheOptions, ResponseFormat
from server import forms
from server.drivers import honoured
from server.drivers.anthropic import blocks, options, thinking, tools
from server.drivers.anthropic.conversation import of_messages
from server.drivers.anthropic.wire import untold, without
from server.drivers.base import Target
from server.rows import Row

Json = dict[str, Any]

# The fields that are said in this dialect; a row may list fewer, as for the version that it names.
PARAMS: Final = (
    *("temperature", "top_p", "stop", "max_tokens", "max_completion_tokens"),
    *("tools", "tool_choice", "parallel_tool_calls", "web_search_options"),
    *("response_format", "reasoning_effort", "service_tier", "user", "safety_identifier"),
    "prompt_cache_options",
)
# What cannot be said: JSON without a schema, tools that take free text, sound.
REFUSES: Final = {
    "tools": ("custom",),
    "tool_choice": ("custom", "allowed_tools"),
    "response_format": ("json_object",),
    "content": ("input_audio",),
}
# https://platform.claude.com/docs/en/api/service-tiers and /docs/en/build-with-claude/fast-mode
_TIERS: Final[dict[str, Json]] = {
    "auto": {"service_tier": "auto"},
    "priority": {"service_tier": "auto"},  # which uses what was bought of it
    "default": {"service_tier": "standard_only"},
    "standard_only": {"service_tier": "standard_only"},
    "fast": {"speed": "fast"},
}
# Objects to which a caller may add members that the contract does not know.
_OPEN: Final = ("output_config", "thinking", "metadata", "tool_choice")


def of_request(request: CreateCompletionRequest, target: Target, *, stream: bool) -> Json:
    """The body. Members that the contract does not know go before what is made of those that it does.

    Raises `AttemptFailed` where something cannot be said in this dialect.
    """
    own = options.of(target)
    request = honoured.of(request, target.row)
    in_place = options.is_among(target.model, own.system_models)
    system, messages = of_messages(request.messages, in_place=in_place)
    added = msgspec.json.decode(request.extra_json or "{}", type=dict[str, msgspec.Raw])
    made: Json = {"model": target.model, "messages": messages}
    if system:
        made["system"] = system
    made |= tools.of_request(request, own.web_search)
    made |= _plain(request, target.row)
    made |= _thinking_and_form(request, target, own)
    for name in _OPEN:
        if name in made and name in added:
            made[name] = _opened(made[name], msgspec.json.decode(added.pop(name)))
    most = _most_tokens(request)
    made["max_tokens"] = thinking.make_room(made.get("thinking", {}), most, own.max_tokens)
    if stream:
        made["stream"] = True
    return made | added


def _most_tokens(request: CreateCompletionRequest) -> int | None:
    """The most tokens to write, by either name; with 0 a prompt is only cached."""
    if request.HasField("max_completion_tokens"):
        return request.max_completion_tokens
    return request.max_tokens if request.HasField("max_tokens") else None


def _plain(request: CreateCompletionRequest, row: Row) -> Json:
    """What is said in a member of its own, or in two."""
    made: Json = {}
    for name in ("temperature", "top_p"):
        if request.HasField(name):
            made[name] = getattr(request, name)
    if request.stop:
        made["stop_sequences"] = list(request.stop)
    if user := request.safety_identifier or request.user:
        made["metadata"] = {"user_id": user}
    if request.HasField("service_tier"):
        if request.service_tier not in _TIERS:
            raise untold("service_tier", f"has no service tier {request.service_tier[:64]}")
        made |= _TIERS[request.service_tier]
    if request.HasField("prompt_cache_options") and "prompt_cache_options" in row.params:
        made |= _cached(request.prompt_cache_options)
    return made


def _cached(given: PromptCacheOptions) -> Json:
    """Caches as far as the last message, where the caller does not set the marks."""
    if given.mode == "explicit":
        return {}
    control = blocks.cache_control(given.ttl if given.HasField("ttl") else None)
    return {"cache_control": control | without(forms.lower(given), "mode", "ttl")}


def _thinking_and_form(request: CreateCompletionRequest, target: Target, own: options.Options) -> Json:
    made: Json = {}
    output: Json = {}
    if request.HasField("reasoning_effort"):
        made["thinking"], output = thinking.of_effort(request.reasoning_effort, target.model, own)
    if request.HasField("response_format"):
        output |= _form(request.response_format)
    return made | ({"output_config": output} if output else {})


def _form(given: ResponseFormat) -> Json:
    """https://platform.claude.com/docs/en/build-with-claude/structured-outputs

    The schema's name, description and strictness have no place: it is always kept to.
    """
    kind = forms.case(given)
    if kind == "text":
        return {}
    if kind != "json_schema" or not given.json_schema.schema:
        raise untold("response_format", "answers in JSON by a schema alone")
    form = forms.lower(given.json_schema)
    schema = {"type": "json_schema", "schema": form["schema"]}
    added = without(form, "name", "description", "schema", "strict")
    return {"format": schema | added | without(forms.lower(given), "type", "json_schema")}


def _opened(ours: Any, theirs: Any) -> Any:
    """An object with the members that a caller adds; another of its kind takes its place."""
    if not isinstance(theirs, dict) or not isinstance(ours, dict) or "type" in theirs:
        return theirs
    return ours | theirs
