"""Requests of the Responses API that are wrong, and any JSON at all."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interference.v1.chat_pb2 import CreateCompletionRequest
from server import forms
from server.errors import InvalidRequest
from server.ingress.responses import request as responses
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
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}


def read(**members: Any) -> CreateCompletionRequest:
    return responses.read(json.dumps({"model": "m", "input": "Hi"} | members).encode()).request


def fault(**members: Any) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequest) as caught:
        read(**members)
    return caught.value.param, caught.value.message


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
            {"input": [{"type": "function_call_output", "call_id": "c", "output": None}]},
            "input[0].output",
            "is required",
            id="null-output",
        ),
        pytest.param(
            {"input": [{"type": "custom_tool_call_output", "call_id": "c"}]},
            "input[0].output",
            "is required",
            id="no-output",
        ),
        pytest.param(
            {"input": [{"type": "reasoning", "content": [], "tool_calls": [{}]}]},
            "input[0].tool_calls",
            "not known",
            id="thoughts-with-a-member-of-chat",
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
            {
                "tools": [
                    {"type": "web_search", "external_web_access": False, "search_content_types": ["image"]}
                ]
            },
            "tools[0].search_content_types",
            "text alone",
            id="kinds-of-pages",
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
