"""Requests of the Responses API as the contract has them."""

import json
from typing import Any

import msgspec
import pytest

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import AnswerMessage, ChatCompletion, Choice
from interference.v1.tool_pb2 import FunctionCall, ToolCall
from server import forms
from server.ingress.responses import request as responses


def read(**members: Any) -> CreateCompletionRequest:
    return responses.read(json.dumps({"model": "m", "input": "Hi"} | members).encode()).request


def chat(request: CreateCompletionRequest) -> Any:
    """A request as OpenAI's chat has it."""
    return json.loads(msgspec.json.encode(forms.lower(request)))


def said(*items: Any) -> Any:
    """The messages of an input, as OpenAI's chat has them."""
    return chat(read(input=list(items)))["messages"]


# --- Input -----------------------------------------------------------------------------------------


def test_a_string_is_what_the_user_says_and_instructions_come_before_it() -> None:
    assert chat(read(instructions="Be brief."))["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


def test_messages_keep_their_roles_and_parts() -> None:
    assert said(
        {"role": "developer", "content": "Rules"},
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "More"}]},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "See", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
                {
                    "type": "input_file",
                    "file_data": "data:application/pdf;base64,AA==",
                    "filename": "a.pdf",
                },
                {"type": "input_file", "file_id": "file-1", "detail": "high"},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            ],
        },
    ) == [
        {"role": "developer", "content": "Rules"},
        {"role": "system", "content": "More"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
                {
                    "type": "file",
                    "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
                },
                {"type": "file", "file": {"file_id": "file-1", "detail": "high"}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            ],
        },
    ]


def test_what_the_assistant_said_in_a_row_is_one_message() -> None:
    assert said(
        {"role": "user", "content": "Weather?"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Two cities."}],
            "encrypted_content": "gAAA",
        },
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c1",
            "name": "get",
            "arguments": '{"at": "Rome"}',
        },
        {"type": "custom_tool_call", "id": "ct_1", "call_id": "c2", "name": "run", "input": "ls"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}],
        },
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ) == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning": "Two cities.",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "get", "arguments": '{"at": "Rome"}'},
                },
                {"id": "c2", "type": "custom", "custom": {"name": "run", "input": "ls"}},
            ],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
        {"role": "tool", "content": "a\nb", "tool_call_id": "c2"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ]


@pytest.mark.parametrize(
    ("item", "reasoning"),
    [
        pytest.param({"summary": [{"type": "summary_text", "text": "In short"}]}, "In short", id="summary"),
        pytest.param(
            {
                "summary": [{"type": "summary_text", "text": "In short"}],
                "content": [{"type": "reasoning_text", "text": "At length"}],
            },
            "At length",
            id="text-before-summary",
        ),
        pytest.param({"summary": [], "encrypted_content": "gAAA"}, "", id="encrypted"),
    ],
)
def test_reasoning_goes_with_the_message_it_led_to(item: Any, reasoning: str) -> None:
    answer = {"role": "assistant", "content": "So."}
    messages = read(input=[{"type": "reasoning", "id": "rs", **item}, answer]).messages
    assert [message.reasoning for message in messages] == [reasoning]
    alone = read(
        input=[{"type": "reasoning", "id": "rs", **item}, {"role": "user", "content": "?"}]
    ).messages
    assert [message.role for message in alone] == ["user"]


def test_what_nobody_knows_of_thoughts_goes_with_the_message_they_led_to() -> None:
    part = {"type": "reasoning_text", "text": "Hm", "inner": 2}
    thoughts = {"type": "reasoning", "id": "rs", "content": [part], "outer": 1, "encrypted_content": "g"}
    (message,) = read(input=[thoughts, {"role": "assistant", "content": "So.", "own": 3}]).messages
    assert json.loads(message.extra_json) == {"inner": 2, "outer": 1, "own": 3}


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_a_message_without_content_says_the_empty_text(role: str) -> None:
    assert said({"role": role, "content": []}) == [{"role": role, "content": ""}]


@pytest.mark.parametrize(
    ("role", "content"), [("assistant", "ab\nc"), ("system", "a\nb"), ("developer", "a\nb")]
)
def test_texts_are_one_where_many_providers_take_but_one(role: str, content: str) -> None:
    kind = "output_text" if role == "assistant" else "input_text"
    parts = [{"type": kind, "text": "a"}, {"type": kind, "text": "b"}]
    items = [{"role": role, "content": parts}]
    if role == "assistant":
        items.append({"role": role, "content": [{"type": kind, "text": "c"}]})
    assert said(*items) == [{"role": role, "content": content}]
    marked = [parts[0] | {"new": 1}, parts[1]]
    kept = [{"type": "text", "text": "a", "new": 1}, {"type": "text", "text": "b"}]
    assert said({"role": role, "content": marked}) == [{"role": role, "content": kept}]


def test_images_and_files_of_tools_are_shown_by_the_user_after_the_results() -> None:
    calls = [{"type": "function_call", "call_id": c, "name": "f", "arguments": "{}"} for c in "ab"]
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    file = {"type": "input_file", "file_data": "data:application/pdf;base64,AA=="}
    shot = {
        "type": "function_call_output",
        "call_id": "a",
        "output": [{"type": "input_text", "text": "x"}, image],
    }
    scan = {"type": "custom_tool_call_output", "call_id": "b", "output": [file]}
    _, first, second, user, last = said(*calls, shot, scan, {"role": "assistant", "content": "I see."})
    assert first == {"role": "tool", "tool_call_id": "a", "content": "x"}
    assert (second["role"], second["tool_call_id"], type(second["content"])) == ("tool", "b", str)
    assert user == {
        "role": "user",
        "content": [
            {"type": "text", "text": "The tool call a returned:"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            {"type": "text", "text": "The tool call b returned:"},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}},
        ],
    }
    assert last["role"] == "assistant"
    assert [message["role"] for message in said(*calls, shot, scan)][-1] == "user"


def test_fields_are_called_by_what_they_were_and_hints_are_told_apart() -> None:
    asked = responses.read(b'{"model": "m", "input": "Hi"}')
    fields = CreateCompletionRequest.DESCRIPTOR.fields_by_name
    assert {*asked.names, *asked.hints} <= set(fields)
    assert asked.names["max_completion_tokens"] == "max_output_tokens"
    assert asked.names["messages"] == "input"
    assert asked.hints == ("reasoning_effort", "parallel_tool_calls")


def test_what_a_provider_added_to_a_call_is_given_back_to_it() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    extra = {"extra_content": {"google": {"thought_signature": "x"}}, "function": {"weight": 1.50}}
    (message,) = read(input=[call | {"extra": extra}]).messages
    assert json.loads(message.tool_calls[0].extra_json) == {"extra_content": extra["extra_content"]}
    assert json.loads(message.tool_calls[0].function.extra_json) == {"weight": 1.5}


def test_the_answer_of_one_call_is_the_input_of_the_next() -> None:
    first = responses.read(json.dumps({"model": "m", "input": "Hi"}).encode())
    call = ToolCall(id="c", function=FunctionCall(name="f", arguments="{}"))
    message = AnswerMessage(reasoning="Hm", content="Wait.", tool_calls=[call])
    completion = ChatCompletion(choices=[Choice(message=message)])
    output = json.loads(first.answer.whole(completion))["output"]
    assert said(*output) == [
        {
            "role": "assistant",
            "content": "Wait.",
            "reasoning": "Hm",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }
    ]


# --- Parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        pytest.param({"provider": " A  B "}, {"providers": ["A", "B"]}, id="provider-text"),
        pytest.param({"provider": ["A", "B"]}, {"providers": ["A", "B"]}, id="provider-list"),
        pytest.param({"max_output_tokens": 5}, {"max_completion_tokens": 5}, id="max-output-tokens"),
        pytest.param({"temperature": 0.7, "top_p": 1}, {"temperature": 0.7, "top_p": 1.0}, id="sampling"),
        pytest.param({"text": {"format": {"type": "text"}}}, {}, id="plain-text"),
        pytest.param({"text": {"verbosity": "low"}}, {"verbosity": "low"}, id="verbosity"),
        pytest.param(
            {"text": {"format": {"type": "json_object"}}},
            {"response_format": {"type": "json_object"}},
            id="json-object",
        ),
        pytest.param(
            {"reasoning": {"effort": "low", "summary": "auto", "context": "auto"}},
            {"reasoning_effort": "low"},
            id="reasoning",
        ),
        pytest.param(
            {"reasoning": {"max_tokens": 9}}, {"reasoning": {"max_tokens": 9}}, id="reasoning-more"
        ),
        pytest.param({"store": True, "metadata": {"a": "b"}}, {}, id="store"),
        pytest.param({"service_tier": "auto"}, {}, id="tier-default"),
        pytest.param({"service_tier": "flex"}, {"service_tier": "flex"}, id="tier"),
        pytest.param(
            {"user": "u", "safety_identifier": "s"}, {"user": "u", "safety_identifier": "s"}, id="user"
        ),
        pytest.param(
            {
                "prompt_cache_key": "k",
                "prompt_cache_retention": "24h",
                "prompt_cache_options": {"ttl": "30m"},
            },
            {
                "prompt_cache_key": "k",
                "prompt_cache_retention": "24h",
                "prompt_cache_options": {"ttl": "30m"},
            },
            id="cache",
        ),
        pytest.param({"include": ["message.output_text.logprobs"]}, {"logprobs": True}, id="logprobs"),
        pytest.param({"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}, id="top-logprobs"),
        pytest.param({"top_logprobs": 0, "include": ["reasoning.encrypted_content"]}, {}, id="no-logprobs"),
        pytest.param(
            {"moderation": {"model": "o", "policy": {"input": {"mode": "block"}}}},
            {"moderation": {"model": "o", "policy": {"input": {"mode": "block"}}}},
            id="moderation",
        ),
        pytest.param({"truncation": "disabled", "background": False}, {}, id="defaults"),
        pytest.param({"previous_response_id": None, "conversation": None, "prompt": None}, {}, id="nulls"),
        pytest.param({"zzz": {"a": [1.0, 2]}}, {"zzz": {"a": [1.0, 2]}}, id="unknown"),
        pytest.param(
            {"stream_options": {"include_obfuscation": False}}, {}, id="whole-has-no-stream-options"
        ),
        pytest.param(
            {"stream": True, "stream_options": {"include_obfuscation": False, "include_usage": False}},
            {"stream_options": {"include_usage": True, "include_obfuscation": False}},
            id="stream",
        ),
        pytest.param({"tool_choice": "auto", "parallel_tool_calls": False}, {}, id="choice-without-tools"),
    ],
)
def test_a_parameter_is_the_contracts_own(members: dict[str, Any], wanted: dict[str, Any]) -> None:
    beside = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    assert chat(read(**members)) == beside | wanted


FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
CHAT_FUNCTION = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object"}, "strict": True},
}


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        pytest.param(
            {"tools": [FUNCTION | {"description": "d", "output_schema": {}, "zzz": 1}]},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "f",
                            "description": "d",
                            "parameters": {"type": "object"},
                            "strict": True,
                            "zzz": 1,
                        },
                    }
                ]
            },
            id="function",
        ),
        pytest.param(
            {
                "tools": [
                    {"type": "custom", "name": "c", "format": {"type": "text"}},
                    {
                        "type": "custom",
                        "name": "g",
                        "description": "d",
                        "format": {"type": "grammar", "syntax": "lark", "definition": "start: /a/"},
                    },
                ]
            },
            {
                "tools": [
                    {"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}},
                    {
                        "type": "custom",
                        "custom": {
                            "name": "g",
                            "description": "d",
                            "format": {
                                "type": "grammar",
                                "grammar": {"definition": "start: /a/", "syntax": "lark"},
                            },
                        },
                    },
                ]
            },
            id="custom",
        ),
        pytest.param(
            {
                "tools": [
                    {
                        "type": "web_search",
                        "search_context_size": "low",
                        "user_location": {"type": "approximate", "city": "Rome"},
                        "filters": {"allowed_domains": None},
                    }
                ],
                "tool_choice": {"type": "web_search_preview"},
            },
            {
                "web_search_options": {
                    "search_context_size": "low",
                    "user_location": {"type": "approximate", "approximate": {"city": "Rome"}},
                }
            },
            id="web-search",
        ),
        pytest.param({"tools": [{"type": "web_search"}], "tool_choice": "none"}, {}, id="no-web-search"),
        pytest.param(
            {"tools": [{"type": "web_search", "external_web_access": False}, FUNCTION]},
            {},
            id="search-of-a-cache",
        ),
        pytest.param(
            {"tool_choice": "required", "tools": [FUNCTION]}, {"tool_choice": "required"}, id="required"
        ),
        pytest.param({"tool_choice": "none", "tools": [FUNCTION]}, {"tool_choice": "none"}, id="none"),
        pytest.param({"tool_choice": "auto", "tools": [FUNCTION]}, {}, id="auto"),
        pytest.param(
            {"parallel_tool_calls": False, "tools": [FUNCTION]},
            {"parallel_tool_calls": False},
            id="one-by-one",
        ),
        pytest.param({"parallel_tool_calls": True, "tools": [FUNCTION]}, {}, id="parallel"),
        pytest.param(
            {"tool_choice": {"type": "function", "name": "f"}, "tools": [FUNCTION]},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            id="one-function",
        ),
        pytest.param(
            {"tool_choice": {"type": "custom", "name": "f"}, "tools": [FUNCTION]},
            {"tool_choice": {"type": "custom", "custom": {"name": "f"}}},
            id="one-custom",
        ),
        pytest.param(
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "f"}],
                },
                "tools": [FUNCTION],
            },
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "function", "function": {"name": "f"}}],
                    },
                }
            },
            id="allowed-tools",
        ),
    ],
)
def test_tools_are_those_of_chat(members: dict[str, Any], wanted: dict[str, Any]) -> None:
    given_tools = {"tools": [CHAT_FUNCTION]} if FUNCTION in members["tools"] else {}
    request = chat(read(**members))
    del request["model"], request["messages"]
    assert request == given_tools | wanted


def test_schemas_arrive_byte_for_byte() -> None:
    schema = '{ "z": 1.0,\n "a": {"const": 12345678901234567890}, "é": "\\u00e9" }'
    tools = f'[{{"type": "function", "name": "f", "parameters": {schema}}}]'
    form = f'{{"type": "json_schema", "name": "s", "schema": {schema}, "strict": true}}'
    body = f'{{"model": "m", "input": "Hi", "tools": {tools}, "text": {{"format": {form}}}}}'
    request = responses.read(body.encode()).request
    assert request.tools[0].function.parameters == schema
    assert request.response_format.json_schema.schema == schema
    assert request.response_format.json_schema.strict
