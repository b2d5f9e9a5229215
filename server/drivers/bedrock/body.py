"""The body of a request to Converse.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from typing import Any, Final

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.options_pb2 import ResponseFormat
from interference.v1.tool_pb2 import Tool, ToolChoice
from server.drivers import honoured
from server.drivers.base import Target
from server.drivers.bedrock import additions, messages, thinking
from server.errors import AttemptFailed

Members = dict[str, Any]

PARAMS: Final = (
    *("temperature", "top_p", "stop", "max_tokens", "max_completion_tokens"),
    *("tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort"),
    *("metadata", "service_tier"),
)
REFUSES: Final = {
    "tools": ("custom",),
    "tool_choice": ("custom", "allowed_tools"),
    "response_format": ("json_object",),
}
_TIERS: Final = frozenset({"default", "flex", "priority", "reserved"})
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Tool.html
_TOOLS: Final = frozenset({"toolSpec", "systemTool", "cachePoint"})
_NO_SCHEMA: Final = msgspec.Raw(b'{"type":"object","properties":{}}')


def of(request: CreateCompletionRequest, target: Target) -> Members:
    """The body. What the caller adds beyond the contract joins what is made of the rest, and goes before
    it.

    Raises `AttemptFailed` for what Bedrock cannot be asked.
    """
    added = additions.of(request)
    request = honoured.of(request, target.row)
    system, turns = messages.conversation(request.messages)
    body: Members = {"messages": turns}
    fields, output = _thought(request, target)
    if request.HasField("response_format"):
        output |= _form(request.response_format)
    parts: tuple[tuple[str, Any], ...] = (
        ("system", system),
        ("inferenceConfig", _inference(request)),
        ("toolConfig", _tools(request, turns)),
        ("additionalModelRequestFields", fields),
        ("outputConfig", output),
        ("requestMetadata", dict(request.metadata)),
        ("serviceTier", _tier(request.service_tier)),
    )
    body |= {name: value for name, value in parts if value}
    return body | {name: _joined(body.get(name), value) for name, value in added.items()}


def _most_tokens(request: CreateCompletionRequest) -> int | None:
    """The most tokens to write, by either name."""
    if request.HasField("max_completion_tokens"):
        return request.max_completion_tokens
    return request.max_tokens if request.HasField("max_tokens") else None


def _inference(request: CreateCompletionRequest) -> Members:
    config: Members = {}
    if (most := _most_tokens(request)) is not None:
        config["maxTokens"] = most
    if request.HasField("temperature"):
        config["temperature"] = request.temperature
    if request.HasField("top_p"):
        config["topP"] = request.top_p
    if request.stop:
        config["stopSequences"] = list(request.stop)
    return config


def _thought(request: CreateCompletionRequest, target: Target) -> tuple[Members, Members]:
    if not request.HasField("reasoning_effort"):
        return {}, {}
    fields, output = thinking.of(request.reasoning_effort, _most_tokens(request), target)
    return {**fields}, {**output}


def _form(form: ResponseFormat) -> Members:
    """Where the schema is text: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html."""
    if not form.HasField("json_schema"):
        added = additions.of(form)
        if not added and form.type not in ("", "text"):
            raise _lacking("response_format", f"has no response_format {form.type}")
        return added
    given = form.json_schema
    schema: Members = {"schema": given.schema or "{}", "name": given.name}
    if given.HasField("description"):
        schema["description"] = given.description
    structure = {"jsonSchema": schema | additions.of(given)}
    return {"textFormat": {"type": "json_schema", "structure": structure} | additions.of(form)}


def _tools(request: CreateCompletionRequest, turns: list[Members]) -> Members:
    choice = request.tool_choice
    if not request.tools:
        if request.HasField("tool_choice") and choice.mode not in ("none", "auto"):
            raise _lacking("tool_choice", "calls no tool where there is none")
        return {}
    if request.HasField("parallel_tool_calls") and not request.parallel_tool_calls:
        raise _lacking("parallel_tool_calls", "calls tools in parallel where it likes")
    config: Members = {"tools": [_tool(tool) for tool in request.tools]}
    if not request.HasField("tool_choice"):
        return config
    if choice.mode == "none":
        if messages.calls_tools(turns):
            raise _lacking("tool_choice", "cannot be told to call no tool where some were called before")
        return {}  # who knows of no tool calls none
    return config | {"toolChoice": _choice(choice)}


def _tool(tool: Tool) -> Members:
    if not tool.HasField("function"):
        own = additions.of(tool)
        if tool.HasField("custom") or not _TOOLS & own.keys():
            raise _lacking("tools", f"has no tools of the type {tool.type or 'that is not said'}")
        return own
    function = tool.function
    schema = msgspec.Raw(function.parameters.encode()) if function.parameters else _NO_SCHEMA
    spec: Members = {"name": function.name, "inputSchema": {"json": schema}}
    if function.description:
        spec["description"] = function.description
    if function.HasField("strict"):
        spec["strict"] = function.strict
    return {"toolSpec": spec | additions.of(function)} | additions.of(tool)


def _choice(choice: ToolChoice) -> Members:
    if choice.HasField("function"):
        named = {"name": choice.function.name} | additions.of(choice.function)
        return {"tool": named} | additions.of(choice)
    modes: dict[str, Members] = {"auto": {"auto": {}}, "required": {"any": {}}}
    made = modes.get(choice.mode, {}) | additions.of(choice)
    if not made or (choice.mode and choice.mode not in modes):
        raise _lacking("tool_choice", f"has no tool_choice {choice.mode or choice.type}")
    return made


def _tier(tier: str) -> Members:
    if tier in ("", "auto"):
        return {}
    if tier not in _TIERS:
        raise _lacking("service_tier", f"has no service_tier {tier}")
    return {"type": tier}


def _joined(ours: Any, theirs: Any) -> Any:
    """An object of the caller's with our members that it does not have."""
    is_object = isinstance(theirs, msgspec.Raw) and bytes(theirs).startswith(b"{")
    if not isinstance(ours, dict) or not is_object:
        return theirs
    return ours | msgspec.json.decode(theirs, type=dict[str, msgspec.Raw])


def _lacking(param: str, why: str) -> AttemptFailed:
    return AttemptFailed("parameter_unsupported", why, param=param)
