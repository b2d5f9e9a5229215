"""Anthropic's tools as the contract has them: functions by their schema, the web search as chat's own.

Tools that Anthropic defines by a type alone (bash, text editor, computer, memory, ...) or runs itself (code
execution, web fetch, MCP, ...) are refused: their schemas are in no request, and no other model knows them.
https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
"""

import re
from dataclasses import dataclass

import msgspec

from interference.v1.options_pb2 import UserLocation, WebSearchOptions
from interference.v1.tool_pb2 import FunctionDefinition, Tool, ToolChoice, ToolName
from server.ingress.chat import place
from server.ingress.wire import Members, fault

_WEB_SEARCH = re.compile(r"web_search_[0-9]{8}")
# What decides how Anthropic loads, calls or prints a tool, and not what the tool is.
_HINTS = ("cache_control", "defer_loading", "eager_input_streaming", "allowed_callers")
_MODES = {"any": "required", "none": "none"}


@dataclass(frozen=True, slots=True)
class Tools:
    """What a request says of tools, as the contract's fields have it."""

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice | None = None
    parallel: bool | None = None
    web_search: WebSearchOptions | None = None


def read(request: Members) -> Tools:
    """Reads `tools` and `tool_choice`. Raises `InvalidRequest` for tools that cannot be had here."""
    functions: list[Tool] = []
    web_search: WebSearchOptions | None = None
    for tool in request.objects("tools") or ():
        kind = tool.text("type") or "custom"
        if kind == "custom":
            functions.append(_function(tool))
        elif _WEB_SEARCH.fullmatch(kind):
            web_search = _web_search(tool)
        else:
            what = f"is {kind[:64]}, which only Anthropic's own models know: give the tool an input_schema"
            raise fault(tool.where("type"), what)
    choice = request.object("tool_choice")
    if choice is None:
        return Tools(tuple(functions), web_search=web_search)
    alone = choice.flag("disable_parallel_tool_use")
    return Tools(
        tools=tuple(functions),
        choice=_choice(choice, functions, web_search),
        parallel=False if alone and functions else None,
        web_search=web_search,
    )


def _function(tool: Members) -> Tool:
    schema = tool.json("input_schema")
    if schema is None:
        raise fault(tool.where("input_schema"), "is required: an object")
    function = FunctionDefinition(
        name=tool.required_text("name"),
        description=_description(tool),
        parameters=schema,
        strict=tool.flag("strict"),
    )
    tool.skip(*_HINTS)
    tool.leave(function)
    return Tool(type="function", function=function)


def _description(tool: Members) -> str | None:
    """What the tool does, with the examples of its input, for which chat has no place of their own."""
    description = tool.text("description")
    examples = [
        msgspec.json.encode(example.left()).decode() for example in tool.objects("input_examples") or ()
    ]
    if not examples:
        return description
    return "\n".join((*filter(None, (description,)), "Examples of its input:", *examples))


def _web_search(tool: Members) -> WebSearchOptions:
    """https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool

    Chat searches once, so `max_uses` holds anyway; where to search cannot be said, and would be ignored.
    """
    for name in ("allowed_domains", "blocked_domains"):
        if tool.texts(name):
            raise fault(tool.where(name), "cannot be kept to by other providers: leave it out")
    tool.skip(*_HINTS, "name", "max_uses", "strict", "response_inclusion")
    options = WebSearchOptions()
    if (where := tool.object("user_location")) is not None:
        options.user_location.CopyFrom(_user_location(where))
    tool.leave(options)
    return options


def _user_location(where: Members) -> UserLocation:
    kind = where.text("type") or "approximate"
    return UserLocation(type=kind, approximate=place(where))


def _choice(choice: Members, functions: list[Tool], search: WebSearchOptions | None) -> ToolChoice | None:
    """What goes without saying is not said, as not every provider can be told: `auto`, a choice among no
    tools, and the web search, which chat makes wherever it may."""
    kind = choice.required_text("type")
    if kind == "tool":
        name = choice.required_text("name")
        if search is not None and name == "web_search":
            return None
        told = ToolChoice(type="function", function=ToolName(name=name))
        choice.leave(told)
    elif kind == "auto":
        return None
    elif kind in _MODES:
        told = ToolChoice(mode=_MODES[kind])  # a word in chat, which nothing can be said beside
    else:
        raise fault(choice.where("type"), "must be auto, any, tool or none")
    return told if functions else None
