"""Tools and formats of the Responses API as the contract has them.

https://platform.openai.com/docs/api-reference/responses/create#responses-create-tools
"""

from dataclasses import dataclass

import msgspec

from interference.v1.options_pb2 import (
    JsonSchema,
    ResponseFormat,
    UserLocation,
    WebSearchOptions,
)
from interference.v1.tool_pb2 import (
    AllowedTools,
    CustomTool,
    CustomToolFormat,
    FunctionDefinition,
    Grammar,
    Tool,
    ToolChoice,
    ToolName,
)
from server.ingress.chat import place
from server.ingress.wire import Members, begins, fault

_WEB_SEARCH = (
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
)
_MODES = ("none", "auto", "required")
_OWN = ("function", "custom")


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of a request. Searching the web is no tool in the contract, but an option of its own."""

    tools: tuple[Tool, ...] = ()
    web_search: WebSearchOptions | None = None


def tools(request: Members) -> Tools:
    """Reads `tools`. Those that only OpenAI's own servers run are refused, but for searching the web."""
    found: list[Tool] = []
    web_search: WebSearchOptions | None = None
    for tool in request.objects("tools") or ():
        kind = tool.required_text("type")
        if kind == "function":
            found.append(_function(tool))
        elif kind == "custom":
            found.append(_custom(tool))
        elif kind not in _WEB_SEARCH:
            raise fault(
                tool.where("type"),
                f"is {kind[:64]}, a tool that is not run here; give function, custom or web_search tools",
            )
        elif web_search is not None:
            raise fault(tool.path, "asks for web search a second time")
        else:
            web_search = _web_search(tool)
    return Tools(tuple(found), web_search)


def tool_choice(request: Members, given: Tools) -> ToolChoice | None:
    """Reads `tool_choice`. `auto` goes without saying, as does any choice where there is no tool to choose.

    Models that search the web always search, so that they need not be told to.
    """
    choice = request.peek("tool_choice")
    if choice is None or begins(choice) == b'"':
        return _mode(request, given)
    members = request.object("tool_choice")
    if members is None:
        return None
    kind = members.required_text("type")
    if kind in _WEB_SEARCH and given.web_search is not None:
        return None
    if kind == "allowed_tools":
        return _allowed(members, given)
    if kind not in _OWN:
        raise fault(members.where("type"), f"is {kind[:64]}; choose a function, custom or allowed_tools")
    name = ToolName(name=members.required_text("name"))
    members.leave(name)
    return (
        ToolChoice(type=kind, function=name) if kind == "function" else ToolChoice(type=kind, custom=name)
    )


def text_format(text: Members) -> ResponseFormat | None:
    """Reads `text.format`. Plain text goes without saying."""
    form = text.object("format")
    if form is None:
        return None
    kind = form.required_text("type")
    if kind == "text":
        return None
    if kind == "json_object":
        found = ResponseFormat(type=kind)
        form.leave(found)
        return found
    if kind != "json_schema":
        raise fault(form.where("type"), "must be text, json_object or json_schema")
    schema = JsonSchema(
        name=form.required_text("name"),
        description=form.text("description"),
        schema=form.json("schema"),
        strict=form.flag("strict"),
    )
    form.leave(schema)
    return ResponseFormat(type=kind, json_schema=schema)


def _function(tool: Members) -> Tool:
    function = FunctionDefinition(
        name=tool.required_text("name"),
        description=tool.text("description"),
        parameters=tool.json("parameters"),
        strict=tool.flag("strict"),
    )
    _only_direct(tool)
    tool.skip("output_schema")  # says what the caller's results look like; those come as they are
    tool.leave(function)
    return Tool(type="function", function=function)


def _custom(tool: Members) -> Tool:
    form = tool.object("format")
    custom = CustomTool(
        name=tool.required_text("name"),
        description=tool.text("description"),
        format=None if form is None else _custom_format(form),
    )
    _only_direct(tool)
    tool.leave(custom)
    return Tool(type="custom", custom=custom)


def _custom_format(form: Members) -> CustomToolFormat:
    kind = form.required_text("type")
    if kind == "text":
        found = CustomToolFormat(type=kind)
        form.leave(found)
        return found
    if kind != "grammar":
        raise fault(form.where("type"), "must be text or grammar")
    grammar = Grammar(definition=form.required_text("definition"), syntax=form.required_text("syntax"))
    form.leave(grammar)
    return CustomToolFormat(type=kind, grammar=grammar)


def _only_direct(tool: Members) -> None:
    """Refuses what would let the model call a tool in another way than by a call in its answer."""
    for name in ("defer_loading", "async"):
        if tool.flag(name):
            raise fault(tool.where(name), "cannot be true: tools are given whole and called in the answer")
    callers = tool.texts("allowed_callers")
    if callers is not None and "direct" not in callers:
        raise fault(tool.where("allowed_callers"), "must hold direct, the only caller there is")


def _web_search(tool: Members) -> WebSearchOptions | None:
    """None for a search of OpenAI's cache alone, which agents offer with every request: a tool that nobody
    else has, and that a model need not use. Other limits would be broken where they are left out."""
    filters = tool.object("filters")
    if filters is not None and any(filters.has(name) for name in filters.left()):
        raise fault(tool.where("filters"), "is not served: which pages are searched cannot be narrowed")
    if set(tool.texts("search_content_types") or ["text"]) != {"text"}:
        raise fault(tool.where("search_content_types"), "must be text alone")
    if tool.flag("external_web_access") is False:
        return None
    location = tool.object("user_location")
    options = WebSearchOptions(
        search_context_size=tool.text("search_context_size"),
        user_location=None if location is None else _location(location),
    )
    tool.leave(options)
    return options


def _location(location: Members) -> UserLocation:
    location.skip("type")  # `approximate`, the only one there is
    return UserLocation(type="approximate", approximate=place(location))


def _mode(request: Members, given: Tools) -> ToolChoice | None:
    mode = request.text("tool_choice")
    if mode is not None and mode not in _MODES:
        raise fault("tool_choice", f"must be {', '.join(_MODES)} or an object")
    if mode == "required" and not given.tools and given.web_search is None:
        raise fault("tool_choice", "is required, but tools holds none")
    return ToolChoice(mode=mode) if mode in ("none", "required") and given.tools else None


def _allowed(choice: Members, given: Tools) -> ToolChoice:
    """`{"type": "function", "name": "f"}` is `{"type": "function", "function": {"name": "f"}}` in chat."""
    mode = choice.required_text("mode")
    tools: list[dict[str, object]] = []
    for tool in choice.objects("tools") or ():
        kind = tool.required_text("type")
        if kind in _OWN:
            tools.append({"type": kind, kind: {"name": tool.required_text("name")}})
        elif kind not in _WEB_SEARCH or given.web_search is None:
            raise fault(tool.where("type"), f"is {kind[:64]}; name function and custom tools")
    allowed = AllowedTools(mode=mode, tools=msgspec.json.encode(tools).decode())
    choice.leave(allowed)
    return ToolChoice(type="allowed_tools", allowed_tools=allowed)
