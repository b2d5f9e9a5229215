"""Writes a conversation as the model was taught to read one, and says what its answer must look like."""

from dataclasses import dataclass
from typing import Any

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.tool_pb2 import Tool
from server import forms
from server.drivers.base import Target
from server.drivers.llama.engine import LlamaEngine, opens_thought
from server.drivers.llama.library import Library
from server.drivers.llama.wishes import Additions, refused
from server.errors import AttemptFailed

_ROLES = {"developer": "system"}
# What a template is always given, by the formatter of llama-cpp-python.
_GIVEN = frozenset({"messages", "tools", "tool_choice", "functions", "function_call"})
_CALL = "the-call"  # a rule's name that no schema makes


@dataclass(frozen=True)
class Prompt:
    """A prompt's tokens, whether they end within a thought, and the grammar of the answer, if any."""

    tokens: list[int]
    thinking: bool
    grammar: str


def prompt(
    engine: LlamaEngine, request: CreateCompletionRequest, added: Additions, target: Target
) -> Prompt:
    """The prompt for a conversation. Raises `AttemptFailed` and `RequestRefused`."""
    text = _rendered(engine, request, added, target)
    begin = engine.mark("bos")
    # A template that writes the mark itself must not have it twice.
    tokens = engine.tokens(text, begin=not (begin and text.startswith(begin)))
    return Prompt(tokens, opens_thought(text), _grammar(engine.library, request, target))


def tools(request: CreateCompletionRequest) -> list[Tool]:
    """The tools that may be called."""
    return [] if request.tool_choice.mode == "none" else list(request.tools)


def check(request: CreateCompletionRequest, template: str, added: Additions, target: Target) -> None:
    """Raises `AttemptFailed` for what the model cannot be told, `RequestRefused` for what is wrong."""
    if request.HasField("reasoning_effort") and not any(
        name in template for name in ("enable_thinking", "reasoning_effort")
    ):
        raise _lacks("reasoning_effort", "has no word for how hard to think in its chat template")
    if tools(request) and "tools" not in template:
        raise _lacks("tools", "has no place for tools in its chat template")
    if tools(request) and request.response_format.type not in ("", "text"):
        raise _lacks("response_format", "takes tools or a form of the answer, not both")
    if taken := _GIVEN & added.chat_template_kwargs.keys():
        raise refused(target, "chat_template_kwargs", f"must not have {', '.join(sorted(taken))}")


def conversation(request: CreateCompletionRequest) -> list[dict[str, Any]]:
    """The messages as templates know them: texts, and the arguments of calls as objects.

    https://huggingface.co/docs/transformers/chat_templating
    """
    lowered = [forms.lower(message) for message in request.messages]
    return [_message(message) for message in msgspec.json.decode(msgspec.json.encode(lowered))]


def _message(message: dict[str, Any]) -> dict[str, Any]:
    message["role"] = _ROLES.get(message["role"], message["role"])
    if isinstance(parts := message.get("content", ""), list):
        parts = "".join(part.get("text") or part.get("refusal") or "" for part in parts)
    message["content"] = parts
    if (thought := message.pop("reasoning", None)) is not None:
        message["reasoning_content"] = thought
    for call in message.get("tool_calls", ()):
        if isinstance(function := call.get("function"), dict):
            function["arguments"] = _arguments(function.get("arguments", ""))
    return message


def _arguments(text: str) -> Any:
    try:
        return msgspec.json.decode(text) if text else {}
    except forms.JSON_FAULTS:  # as a model may have written them
        return text


def _rendered(
    engine: LlamaEngine, request: CreateCompletionRequest, added: Additions, target: Target
) -> str:
    """The prompt as text. A template is code out of a file: it runs in a sandbox."""
    listed = [forms.lower(tool) for tool in tools(request)]
    given: dict[str, Any] = dict(added.chat_template_kwargs)
    if request.HasField("reasoning_effort"):
        given |= {
            "reasoning_effort": request.reasoning_effort,
            "enable_thinking": request.reasoning_effort != "none",
        }
    try:
        formatter = engine.formatter()
        plain = msgspec.json.decode(msgspec.json.encode(listed)) or None
        written: str = formatter(messages=conversation(request), tools=plain, **given).prompt
    except ValueError as error:  # a template's own way to refuse
        raise refused(target, "messages", f"the model's chat template says: {str(error)[:500]}") from None
    except Exception as error:  # whatever a template does
        told = f"its chat template failed with {type(error).__name__}: {str(error)[:300]}"
        raise AttemptFailed("server_error", told, blame=False) from None
    return written


def _grammar(library: Library, request: CreateCompletionRequest, target: Target) -> str:
    choice, wanted = request.tool_choice, request.response_format
    if choice.HasField("function") or choice.mode == "required":
        return _of_calls(library, request, target)
    if wanted.type == "json_object":
        grammar: str = library.grammars.JSON_GBNF
        return grammar
    if wanted.HasField("json_schema"):
        return _of_schema(library, wanted.json_schema.schema or "{}", "response_format", target)
    return ""


def _of_schema(library: Library, schema: str, param: str, target: Target) -> str:
    try:
        grammar: str = library.grammars.json_schema_to_gbnf(schema)
    except Exception as error:  # it fails in many ways at what it does not know
        told = f"the schema cannot be made a grammar ({type(error).__name__}: {str(error)[:300]})"
        raise refused(target, param, told) from None
    return grammar


def _of_calls(library: Library, request: CreateCompletionRequest, target: Target) -> str:
    """One call of a tool that may be called, or several, in the form that `reading.Splitter` reads."""
    only = request.tool_choice.function.name
    functions = [tool.function for tool in request.tools if only in ("", tool.function.name)]
    if not functions:
        raise refused(target, "tool_choice", f"there is no tool {only!r}" if only else "there are no tools")
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": function.name},
                "arguments": msgspec.Raw((function.parameters or '{"type": "object"}').encode()),
            },
            "required": ["name", "arguments"],
        }
        for function in functions
    ]
    grammar = _of_schema(library, msgspec.json.encode({"oneOf": calls}).decode(), "tools", target)
    rules = [rule.replace("root ::=", f"{_CALL} ::=", 1) for rule in grammar.split("\n")]
    single = only or (request.HasField("parallel_tool_calls") and not request.parallel_tool_calls)
    root = f'root ::= ("<tool_call>" "\\n" {_CALL} "\\n"? "</tool_call>" "\\n"?){"" if single else "+"}'
    return "\n".join([root, *rules])


def _lacks(param: str, told: str) -> AttemptFailed:
    return AttemptFailed("parameter_unsupported", told, param=param, blame=False)
