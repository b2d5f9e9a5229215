"""Tools and the choice among them. https://ai.google.dev/api/caching#Tool"""

from collections.abc import Iterator
from typing import Any

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.tool_pb2 import FunctionDefinition, ToolChoice
from server import forms
from server.drivers import answers
from server.drivers.gemini import wire

Json = dict[str, Any]
_MODES = {"none": "NONE", "auto": "AUTO", "required": "ANY"}
_FUNCTIONS = "Gemini's choice is among functions, each by its name"


def of(request: CreateCompletionRequest) -> Json:
    """`tools` and `toolConfig`, where they are asked for.

    All functions are one tool of Gemini's; a tool without a function is one of its own, such as
    `{"googleSearch": {}}`.
    """
    functions: Json = {"functionDeclarations": []}
    others: list[Json] = []
    for tool in request.tools:
        if tool.HasField("function"):
            functions["functionDeclarations"].append(_declaration(tool.function))
            wire.merge(functions, tool.extra_json)
        else:
            others.append(forms.lower(tool, frozenset({"type"})))
    tools = ([functions] if functions["functionDeclarations"] else []) + others
    body: Json = {"tools": tools} if tools else {}
    is_strict = any(tool.function.strict for tool in request.tools)
    if config := _calling(request.tool_choice, is_strict=is_strict):
        body["toolConfig"] = {"functionCallingConfig": config}
    return body


def _declaration(function: FunctionDefinition) -> Json:
    made: Json = {"name": function.name}
    if function.HasField("description"):
        made["description"] = function.description
    if function.HasField("parameters"):
        made["parametersJsonSchema"] = msgspec.Raw(function.parameters.encode())
    wire.merge(made, function.extra_json)
    return made


def _calling(choice: ToolChoice, *, is_strict: bool) -> Json:
    """The `functionCallingConfig`. Arguments follow their schemas in the modes ANY and VALIDATED, as
    `strict` asks. https://ai.google.dev/gemini-api/docs/function-calling#function_calling_modes
    """
    made: Json = {}
    case = forms.case(choice)
    if choice.mode:
        made = {"mode": _MODES.get(choice.mode, choice.mode)}
    elif case == "function":
        made = {"mode": "ANY", "allowedFunctionNames": [choice.function.name]}
    elif case == "allowed_tools":
        allowed = choice.allowed_tools
        mode = "ANY" if allowed.mode == "required" else "VALIDATED"
        made = {"mode": mode, "allowedFunctionNames": list(_names(allowed.tools))}
    if is_strict and made.get("mode", "AUTO") == "AUTO":
        made["mode"] = "VALIDATED"
    wire.merge(made, choice.extra_json)
    return made


def _names(tools: str) -> Iterator[str]:
    """The names of the functions in a list of tools. Raises `AttemptFailed` where it is none of such: a
    choice among no functions were one among all.
    """
    listed = answers.try_decode(tools.encode())
    if not isinstance(listed, list) or not listed:
        raise wire.lacking("tool_choice", _FUNCTIONS)
    for tool in listed:
        function = tool.get("function") if isinstance(tool, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str) or not name:
            raise wire.lacking("tool_choice", _FUNCTIONS)
        yield name
