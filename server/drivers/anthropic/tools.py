"""Tools, which of them to call, and their calls in earlier messages.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools
"""

import hashlib
import re
from typing import Any, Final

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.options_pb2 import WebSearchOptions
from interference.v1.tool_pb2 import FunctionCall, Tool, ToolCall
from server import forms
from server.drivers.anthropic.wire import lowered, untold, without

Block = dict[str, Any]

_MODES: Final = {"auto": "auto", "required": "any", "none": "none"}
_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
# What Anthropic adds to a call: who made it, the model or a program of its, and whose tool it is.
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/programmatic-tool-calling
_OURS: Final = ("caller", "toolset_name")
_ANY_ARGUMENTS: Final = msgspec.Raw(b'{"type":"object"}')
# What Anthropic's documentation calls the member that holds input which is no JSON object.
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming
_INVALID_JSON: Final = "INVALID_JSON"
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def of_request(request: CreateCompletionRequest, web_search: str) -> Block:
    """The members `tools` and `tool_choice`, as far as there is anything to say."""
    tools = [_tool(tool) for tool in request.tools]
    if request.HasField("web_search_options"):
        tools.append(_search(request.web_search_options, web_search))
    choice = _choice(request)
    if not tools and (choice is None or choice.get("type") in ("auto", "none")):
        return {}
    return ({"tools": tools} if tools else {}) | ({"tool_choice": choice} if choice else {})


def _tool(tool: Tool) -> Block:
    """A function, or a tool of Anthropic's own as it came.

    A schema stays as it is, to the byte: prompt caches key on that.
    """
    if tool.HasField("custom"):
        raise untold("tools", "has no tools that take free text")
    if not tool.HasField("function"):
        return forms.lower(tool)
    function = forms.lower(tool.function)
    made = {"name": function.pop("name", "")}
    if "description" in function:
        made["description"] = function.pop("description")
    made["input_schema"] = function.pop("parameters", _ANY_ARGUMENTS)
    return made | function | without(forms.lower(tool), "type", "function")


def _search(search: WebSearchOptions, version: str) -> Block:
    """https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool"""
    if search.search_context_size not in ("", "medium"):  # its default
        raise untold("web_search_options", "cannot be told how much of what is found to read")
    made: Block = {"type": version, "name": "web_search"}
    if search.HasField("user_location"):
        where = forms.lower(search.user_location)
        place = where.pop("approximate", {})
        made["user_location"] = {"type": "approximate"} | place | without(where, "type")
    return made | without(forms.lower(search), "search_context_size", "user_location")


def _choice(request: CreateCompletionRequest) -> Block | None:
    """Which to call, and whether several at once: what Anthropic says in one object."""
    choice = request.tool_choice
    alone = request.HasField("parallel_tool_calls") and not request.parallel_tool_calls
    made: Block | None = None
    if choice.HasField("function"):
        added = without(forms.lower(choice), "type", "function")
        made = {"type": "tool"} | forms.lower(choice.function) | added
    elif choice.mode:
        made = {"type": _MODES.get(choice.mode, choice.mode)} | without(forms.lower(choice), "mode")
    elif choice.HasField("custom") or choice.HasField("allowed_tools"):
        raise untold("tool_choice", "chooses neither custom tools nor among some")
    else:  # in Anthropic's own words
        made = forms.lower(choice) or None
    if alone and request.tools and (made is None or made.get("type") != "none"):
        made = (made or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    return made


# --- Calls of earlier messages ---------------------------------------------------------------------


def use(call: ToolCall) -> Block:
    """A call that the assistant made. What Anthropic has added to it goes back with it."""
    added = without(lowered(call, *_OURS), "index", "id", "type", "function", "custom")
    if call.HasField("custom") and not call.HasField("function"):
        made = _use(call.id, call.custom.name, msgspec.json.encode({"input": call.custom.input}))
        return made | without(lowered(call.custom), "name", "input") | added
    made = _use(call.id, call.function.name, call.function.arguments.encode())
    return made | without(lowered(call.function), "name", "arguments") | added


def deprecated_use(call: FunctionCall, call_id: str) -> Block:
    """A function that was called in the way that `tool_calls` replaced, which had no ids."""
    made = _use(call_id, call.name, call.arguments.encode())
    return made | without(lowered(call), "name", "arguments")


def result(call_id: str, content: list[Block]) -> Block:
    """What a tool returned."""
    made: Block = {"type": "tool_result", "tool_use_id": fitting(call_id)}
    return made | ({"content": content} if content else {})


def fitting(call_id: str) -> str:
    """The id of a call, or one made of it where another provider's has signs that Anthropic refuses."""
    if _ID.fullmatch(call_id):
        return call_id
    return f"toolu_{hashlib.sha256(call_id.encode()).hexdigest()[:24]}"


def _use(call_id: str, name: str, arguments: bytes) -> Block:
    return {"type": "tool_use", "id": fitting(call_id), "name": name, "input": _input(arguments)}


def _input(arguments: bytes) -> msgspec.Raw | Block:
    """The arguments as they are, where they are a JSON object; nothing for none."""
    if not arguments.strip():
        return {}
    try:
        _decode_object(arguments)
        msgspec.json.decode(arguments)
    except forms.JSON_FAULTS:
        return {_INVALID_JSON: arguments.decode()}
    return msgspec.Raw(arguments)
