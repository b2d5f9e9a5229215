"""Requests of the Responses API as the contract has them."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import AnswerMessage, ChatCompletion, Choice
from interference.v1.tool_pb2 import FunctionCall, ToolCall
from server import forms
from server.errors import InvalidRequest
from server.ingress import responses
from server.services import validate

EXAMPLES = settings(deadline=None)
NAMES = [
    *("model", "provider", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "include"),
    *(
        "max_output_tokens",
        "temperature",
        "metadata",
        "stream",
        "stream_options",
        "top_logprobs",
        "moderation",
    ),
    *("prompt_cache_options", "previous_response_id", "background", "truncation", "image", "extra_json"),
]
INNER = [
    *("type", "role", "content", "text", "name", "format", "schema", "parameters", "call_id", "arguments"),
    *(
        "output",
        "summary",
        "image_url",
        "file_data",
        "input_audio",
        "data",
        "mode",
        "tools",
        "policy",
        "extra",
    ),
    *("function", "effort", "id", "user_location", "filters", "prompt_cache_breakpoint"),
]
WORDS = [
    *(
        "message",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "reasoning",
        "item_reference",
    ),
    *(
        "user",
        "assistant",
        "input_text",
        "output_text",
        "input_image",
        "input_file",
        "input_audio",
        "refusal",
    ),
    *("function", "custom", "web_search", "json_schema", "grammar", "allowed_tools", "auto", "required"),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(WORDS)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(INNER) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=20,
)


def read(**members: Any) -> CreateCompletionRequest:
    return responses.read(json.dumps({"model": "m", "input": "Hi"} | members).encode()).request


def chat(request: CreateCompletionRequest) -> Any:
    """A request as OpenAI's chat has it."""
    return json.loads(msgspec.json.encode(forms.lower(request)))


def said(*items: Any) -> Any:
    """The messages of an input, as OpenAI's chat has them."""
    return chat(read(input=list(items)))["messages"]


def fault(**members: Any) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequest) as caught:
        read(**members)
    return caught.value.param, caught.value.message


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
        {
            "role": "tool",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "tool_call_id": "c2",
        },
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
            {"stream": True, "stream_options": {"include_obfuscation": False}},
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


# --- Faults ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "param", "words"),
    [
        pytest.param({"input": None}, "input", "is required", id="no-input"),
        pytest.param({"input": []}, "input", "at least one", id="empty-input"),
        pytest.param({"input": 5}, "input", "must be a string or a list", id="number-input"),
        pytest.param({"input": ["a"]}, "input[0]", "must be an object", id="text-item"),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": 5}]}]},
            "input[0].content[0].text",
            "must be a string",
            id="wrong-type",
        ),
        pytest.param(
            {"input": [{"role": "tool", "content": "x"}]}, "input[0].role", "one of user", id="role"
        ),
        pytest.param({"input": [{"role": "user"}]}, "input[0].content", "is required", id="no-content"),
        pytest.param(
            {"input": [{"type": "item_reference", "id": "i"}]}, "input[0]", "stored here", id="reference"
        ),
        pytest.param({"input": [{"id": "i"}]}, "input[0]", "whole conversation", id="bare-reference"),
        pytest.param(
            {"input": [{"type": "computer_call"}]}, "input[0].type", "computer_call", id="hosted-item"
        ),
        pytest.param(
            {"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]},
            "input[0].call_id",
            "is required",
            id="no-call-id",
        ),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
            "image_url",
            id="image-file",
        ),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "f"}]}]},
            "input[0].content[0].file_url",
            "file_data",
            id="file-url",
        ),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_video"}]}]},
            "input[0].content[0].type",
            "input_video",
            id="unknown-part",
        ),
        pytest.param(
            {"previous_response_id": "r"}, "previous_response_id", "conversation in `input`", id="previous"
        ),
        pytest.param({"conversation": {"id": "c"}}, "conversation", "nothing is stored", id="conversation"),
        pytest.param({"background": True}, "background", "nothing is stored", id="background"),
        pytest.param({"prompt": {"id": "p"}}, "prompt", "`instructions`", id="prompt"),
        pytest.param({"truncation": "auto"}, "truncation", "disabled", id="truncation"),
        pytest.param(
            {"context_management": [{"type": "compaction"}]}, "context_management", "", id="compaction"
        ),
        pytest.param({"tools": [{"type": "mcp"}]}, "tools[0].type", "mcp", id="hosted-tool"),
        pytest.param(
            {"tools": [FUNCTION | {"defer_loading": True}]}, "tools[0].defer_loading", "", id="deferred"
        ),
        pytest.param(
            {"tools": [{"type": "web_search", "filters": {"allowed_domains": ["a"]}}]},
            "tools[0].filters",
            "cannot be narrowed",
            id="domains",
        ),
        pytest.param(
            {"tools": [FUNCTION | {"parameters": 5}]}, "tools[0].parameters", "an object", id="schema"
        ),
        pytest.param({"tool_choice": {"type": "mcp"}}, "tool_choice.type", "mcp", id="hosted-choice"),
        pytest.param(
            {"tool_choice": "required"}, "tool_choice", "tools holds none", id="nothing-to-choose"
        ),
        pytest.param({"text": {"format": {"type": "xml"}}}, "text.format.type", "json_schema", id="format"),
        pytest.param({"include": ["nonsense"]}, "include[0]", "one of", id="include"),
        pytest.param({"metadata": {"a": 1}}, "metadata.a", "a string", id="metadata"),
        pytest.param({"max_output_tokens": 2**40}, "max_output_tokens", "32 bits", id="too-large"),
        pytest.param({"temperature": "hot"}, "temperature", "a number", id="temperature"),
        pytest.param({"stream": "yes"}, "stream", "true or false", id="stream"),
        pytest.param({"stop": ["a"]}, "stop", "not known", id="chat-parameter"),
        pytest.param({"extra_json": "{}"}, "extra_json", "not known", id="extra-json"),
    ],
)
def test_a_fault_names_the_field(members: dict[str, Any], param: str, words: str) -> None:
    field, message = fault(**members)
    assert field == param
    assert words in message


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"input": "\xff"}', b'{"a": 1e999}', b'{"a":' * 9999])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="JSON object"):
        responses.read(body)


@EXAMPLES
@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), JSON, max_size=8), st.booleans())
@example({"input": [{"type": "reasoning", "summary": [{"text": None}]}]}, True)
@example({"text": []}, True)
def test_any_json_is_read_or_refused_and_what_is_read_is_sound(
    members: dict[str, Any], sound: bool
) -> None:
    if sound:
        members = {"model": "m", "input": [{"role": "user", "content": "Hi"}]} | members
    try:
        asked = responses.read(json.dumps(members).encode())
    except InvalidRequest:
        return
    assert list(forms.check(asked.request)) == []
    forms.lower(asked.request)
    asked.answer.end()


@EXAMPLES
@given(st.lists(JSON, max_size=3), JSON, JSON)
def test_any_items_tools_and_formats_are_read_or_refused(items: Any, tool: Any, form: Any) -> None:
    members = {"model": "m", "input": items or "Hi", "tools": [tool], "text": {"format": form}}
    with contextlib.suppress(InvalidRequest):
        validate.chat(responses.read(json.dumps(members).encode()).request)


@pytest.mark.parametrize("name", ["zzz", "tools", "temperature", "text", "reasoning", "input", "stream"])
def test_json_that_is_nested_beyond_reason_is_read_or_refused(name: str) -> None:
    for depth in range(880, 1000):
        body = f'{{"model": "m", "input": "Hi", "{name}": {"[" * depth}{"]" * depth}}}'
        with contextlib.suppress(InvalidRequest):
            list(forms.check(responses.read(body.encode()).request))


@EXAMPLES
@given(st.binary(max_size=60))
def test_any_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        responses.read(body)
