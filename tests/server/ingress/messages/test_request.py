"""Requests of Anthropic's Messages API as the contract has them."""

import json
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.message_pb2 import ChatMessage
from server.errors import InvalidRequest
from server.ingress.messages import request as messages
from server.services import validate

Json = dict[str, Any]
_PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
_TOOL = {"name": "f", "input_schema": {"type": "object"}}
_USER = {"role": "user", "content": "Hi"}


def read(**members: Any) -> CreateCompletionRequest:
    """The contract's request for a body with these members beside the required ones."""
    body = {"model": "m", "max_tokens": 9, "messages": [_USER]} | members
    request = messages.read(msgspec.json.encode(body)).request
    validate.chat(request)
    return request


def plain(message: Any) -> Json:
    """A message of the contract as a dictionary."""
    return MessageToDict(message, preserving_proto_field_name=True)


def conversation(*turns: Json, **members: Any) -> list[ChatMessage]:
    """The contract's messages for Anthropic's."""
    return list(read(messages=list(turns), **members).messages)


def blocks(role: str, *content: Json) -> Json:
    """A message with blocks."""
    return {"role": role, "content": list(content)}


def fault(**members: Any) -> str:
    """What is said of a wrong request."""
    with pytest.raises(InvalidRequest) as caught:
        read(**members)
    assert caught.value.param is None or caught.value.message.startswith(caught.value.param)
    return caught.value.message


# --- Parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"temperature": 0.7, "top_p": 1}, {"temperature": 0.7, "top_p": 1}, id="sampling"),
        pytest.param({"stop_sequences": ["a", "b"]}, {"stop": ["a", "b"]}, id="stop"),
        pytest.param({"provider": " A  B "}, {"providers": ["A", "B"]}, id="provider-text"),
        pytest.param({"provider": ["A", "B"]}, {"providers": ["A", "B"]}, id="provider-list"),
        pytest.param({"temperature": None, "tools": None, "system": None}, {}, id="nulls"),
        pytest.param({"seed": 7}, {"seed": "7"}, id="a-member-of-chat"),
        pytest.param({"top_k": 5}, {"extra_json": '{"top_k":5}'}, id="top-k"),
        pytest.param({"top_k": None}, {}, id="no-top-k"),
        pytest.param({"new": {"a": 1.0}}, {"extra_json": '{"new":{"a":1.0}}'}, id="unknown"),
        pytest.param({"thinking": {"type": "adaptive"}}, {}, id="adaptive"),
        pytest.param({"thinking": {"type": "disabled"}}, {}, id="disabled"),
        pytest.param(
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
            {},
            id="disabled-effort",
        ),
        pytest.param(
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
            {"reasoning_effort": "xhigh"},
            id="effort",
        ),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 4000}}, {"reasoning_effort": "low"}, id="low"
        ),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 10000}},
            {"reasoning_effort": "medium"},
            id="medium",
        ),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 31999}},
            {"reasoning_effort": "high"},
            id="high",
        ),
        pytest.param(
            {"thinking": {"type": "adaptive", "new": 1}, "output_config": {"later": 2, "task_budget": {}}},
            {"extra_json": '{"thinking":{"new":1},"output_config":{"later":2}}'},
            id="unknown-inside",
        ),
        pytest.param({"metadata": {"user_id": "u"}}, {}, id="metadata"),
        pytest.param({"service_tier": "auto", "speed": "standard"}, {}, id="tier-that-goes-without-saying"),
        pytest.param({"service_tier": "standard_only"}, {"service_tier": "default"}, id="standard-tier"),
        pytest.param({"speed": "fast"}, {"service_tier": "fast"}, id="fast"),
        pytest.param(
            {
                "cache_control": {"type": "ephemeral"},
                "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
                "diagnostics": {"previous_message_id": None},
                "fallbacks": [{"model": "other"}],
                "container": None,
                "mcp_servers": [],
            },
            {},
            id="without-effect",
        ),
    ],
)
def test_parameters_arrive(members: Json, expected: Json) -> None:
    asked = plain(read(**members))
    assert asked.pop("model") == "m"
    assert asked.pop("max_completion_tokens") == 9
    del asked["messages"]
    assert asked == expected


def test_fields_are_called_by_what_they_were_and_hints_are_told_apart() -> None:
    asked = messages.read(msgspec.json.encode({"model": "m", "max_tokens": 9, "messages": [_USER]}))
    fields = CreateCompletionRequest.DESCRIPTOR.fields_by_name
    assert {*asked.names, *asked.hints} <= set(fields)
    assert asked.names["max_completion_tokens"] == "max_tokens"
    assert asked.names["reasoning_effort"] == "thinking"
    assert asked.hints == ("reasoning_effort", "parallel_tool_calls")


def test_a_stream_asks_for_the_usage() -> None:
    body = msgspec.json.encode({"model": "m", "max_tokens": 9, "messages": [_USER], "stream": True})
    asked = messages.read(body)
    assert asked.stream
    assert asked.request.stream_options.include_usage
    assert not asked.request.HasField("stream")


def test_a_schema_of_the_answer_arrives_byte_for_byte() -> None:
    schema = '{ "type":"object", "properties": {"b": {"const": 1.0}, "a": {}} }'
    form = f'{{"type": "json_schema", "schema": {schema}}}'
    for place in (f'"output_config": {{"format": {form}}}', f'"output_format": {form}'):
        body = (
            f'{{"model": "m", "max_tokens": 9, "messages": [{{"role": "user", "content": "Hi"}}], {place}}}'
        )
        response_format = messages.read(body.encode()).request.response_format
        assert response_format.type == "json_schema"
        assert response_format.json_schema.schema == schema
        assert response_format.json_schema.strict
        assert response_format.json_schema.name


# --- Messages --------------------------------------------------------------------------------------


def test_the_system_prompt_is_a_first_message() -> None:
    parts = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b"},
    ]
    for system, text in (("Be brief.", "Be brief."), (parts, "a\nb")):
        first, second = conversation(_USER, system=system)
        assert plain(first) == {"role": "system", "content": [{"text": text}]}
        assert plain(second) == {"role": "user", "content": [{"text": "Hi"}]}


def test_a_system_message_amid_the_conversation_stays_there() -> None:
    turns = [_USER, {"role": "system", "content": "Now in French."}, {"role": "assistant", "content": "Le"}]
    assert [message.role for message in conversation(*turns)] == ["user", "system", "assistant"]


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        pytest.param({"type": "text", "text": "a"}, [{"text": "a"}], id="text"),
        pytest.param(
            {"type": "text", "text": "a", "new": [1.0]},
            [{"text": "a", "extra_json": '{"new":[1.0]}'}],
            id="unknown-member",
        ),
        pytest.param(
            {"type": "image", "source": _PNG},
            [{"image_url": {"url": "data:image/png;base64,AAAA"}}],
            id="image-data",
        ),
        pytest.param(
            {"type": "image", "source": {"type": "url", "url": "https://a.example/a.png"}},
            [{"image_url": {"url": "https://a.example/a.png"}}],
            id="image-url",
        ),
        pytest.param(
            {
                "type": "document",
                "title": "a.pdf",
                "context": "An invoice.",
                "citations": {"enabled": True},
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
            },
            [
                {"text": "An invoice."},
                {"file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            ],
            id="pdf",
        ),
        pytest.param(
            {"type": "document", "source": {"type": "base64", "media_type": "text/csv", "data": "AAAA"}},
            [{"file": {"filename": "document.csv", "file_data": "data:text/csv;base64,AAAA"}}],
            id="named-by-its-type",
        ),
        pytest.param(
            {"type": "document", "source": {"type": "base64", "media_type": "a/b", "data": "AAAA"}},
            [{"file": {"filename": "document", "file_data": "data:a/b;base64,AAAA"}}],
            id="of-an-unknown-type",
        ),
        pytest.param(
            {"type": "document", "source": {"type": "text", "data": "a", "new": 1}, "newer": 2},
            [{"text": "a", "extra_json": '{"new":1,"newer":2}'}],
            id="unknown-members-of-a-source",
        ),
        pytest.param(
            {
                "type": "document",
                "title": "Notes",
                "source": {"type": "text", "media_type": "text/plain", "data": "a"},
            },
            [{"text": "Notes\na"}],
            id="text-document",
        ),
        pytest.param(
            {
                "type": "document",
                "source": {
                    "type": "content",
                    "content": [{"type": "text", "text": "a"}, {"type": "image", "source": _PNG}],
                },
            },
            [{"text": "a"}, {"image_url": {"url": "data:image/png;base64,AAAA"}}],
            id="document-of-blocks",
        ),
        pytest.param(
            {
                "type": "search_result",
                "title": "T",
                "source": "https://a.example",
                "content": [{"type": "text", "text": "a"}],
            },
            [{"text": "T\nhttps://a.example\na"}],
            id="search-result",
        ),
    ],
)
def test_a_block_of_the_user_is_a_part(block: Json, parts: list[Json]) -> None:
    (message,) = conversation(blocks("user", block))
    assert plain(message)["content"] == parts


def test_an_assistant_message_keeps_thoughts_text_and_calls() -> None:
    body = b"""{"model": "m", "max_tokens": 9, "messages": [{"role": "assistant", "content": [
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "I ", "citations": null}, {"type": "text", "text": "look."},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"b": 1.0,  "a": 2}, "caller": null},
        {"type": "tool_use", "id": "b", "name": "g", "input": {}}]}]}"""
    (message,) = messages.read(body).request.messages
    assert plain(message) == {
        "role": "assistant",
        "content": [{"text": "I look."}],
        "reasoning": "Hm",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"b": 1.0,  "a": 2}'}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_message_without_content_says_nothing(role: str) -> None:
    (message,) = conversation(blocks(role), system=[])
    assert plain(message) == {"role": role, "content": [{"text": ""}]}


def test_what_an_earlier_search_found_is_text() -> None:
    found = [
        {"type": "web_search_result", "title": "T", "url": "https://a.example", "encrypted_content": "x"}
    ]
    (message,) = conversation(
        blocks(
            "assistant",
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": found},
            {"type": "text", "text": "It rains."},
        )
    )
    (part,) = message.content
    assert "T: https://a.example" in part.text
    assert part.text.endswith("\nIt rains.")


def test_results_of_tools_stand_before_the_rest_of_their_message() -> None:
    told = conversation(
        blocks(
            "user",
            {"type": "tool_result", "tool_use_id": "a", "content": "1"},
            {"type": "text", "text": "Go on."},
            {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "x"}] * 2},
            {"type": "tool_result", "tool_use_id": "c"},
        )
    )
    assert [plain(message) for message in told] == [
        {"role": "tool", "tool_call_id": "a", "content": [{"text": "1"}]},
        {"role": "tool", "tool_call_id": "b", "content": [{"text": "x\nx"}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"text": ""}]},
        {"role": "user", "content": [{"text": "Go on."}]},
    ]


def test_what_nobody_knows_of_thoughts_and_of_results_goes_along() -> None:
    thoughts = {"type": "thinking", "thinking": "Hm", "signature": "s", "new": 1}
    texts = [{"type": "text", "text": "x", "newer": 2}, {"type": "text", "text": "y"}]
    result = {"type": "tool_result", "tool_use_id": "a", "is_error": True, "content": texts}
    said, tool = conversation(blocks("assistant", thoughts) | {"own": 3}, blocks("user", result))
    assert said.reasoning == "Hm"
    assert json.loads(said.extra_json) == {"new": 1, "own": 3}
    assert plain(tool)["content"] == [{"text": "Error: x", "extra_json": '{"newer":2}'}, {"text": "y"}]


def test_images_of_tools_are_shown_by_the_user_as_chat_takes_them_from_nobody_else() -> None:
    result = {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "image", "source": _PNG}]}
    tool, user = conversation(blocks("user", result))
    assert tool.tool_call_id == "a"
    assert tool.content[0].text
    assert "a" in user.content[0].text
    assert user.content[1].image_url.url == "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param("no such file", "Error: no such file", id="told"),
        pytest.param("Error: no such file", "Error: no such file", id="told-already"),
    ],
)
def test_a_tool_that_failed_is_told_to_have_failed(content: str, text: str) -> None:
    result = {"type": "tool_result", "tool_use_id": "a", "is_error": True, "content": content}
    (tool,) = conversation(blocks("user", result))
    assert tool.content[0].text == text


# --- Tools -----------------------------------------------------------------------------------------


def test_a_tool_is_a_function_and_its_schema_arrives_byte_for_byte() -> None:
    schema = '{ "type":"object", "properties": {"b": {"const": 1.0}, "a": {}} }'
    body = """{"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "tools": [
        {"name": "f", "description": "d", "strict": true, "type": "custom", "input_schema": %s,
         "cache_control": {"type": "ephemeral"}, "new": 1}]}"""
    (tool,) = messages.read((body % schema).encode()).request.tools
    assert plain(tool) == {
        "type": "function",
        "function": {
            "name": "f",
            "description": "d",
            "parameters": schema,
            "strict": True,
            "extra_json": '{"new":1}',
        },
    }


def test_examples_of_a_tools_input_are_told_with_what_it_does() -> None:
    (tool,) = read(tools=[_TOOL | {"description": "Finds.", "input_examples": [{"a": 1}]}]).tools
    assert tool.function.description == 'Finds.\nExamples of its input:\n{"a":1}'


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        pytest.param({"type": "auto"}, {}, id="auto-goes-without-saying"),
        pytest.param({"type": "auto", "new": 1}, {}, id="nothing-stands-beside-a-word"),
        pytest.param({"type": "any", "new": 1}, {"tool_choice": {"mode": "required"}}, id="any"),
        pytest.param({"type": "none"}, {"tool_choice": {"mode": "none"}}, id="none"),
        pytest.param(
            {"type": "tool", "name": "f", "new": 1},
            {"tool_choice": {"type": "function", "function": {"name": "f"}, "extra_json": '{"new":1}'}},
            id="tool",
        ),
        pytest.param(
            {"type": "auto", "disable_parallel_tool_use": True},
            {"parallel_tool_calls": False},
            id="one-by-one",
        ),
        pytest.param({"type": "auto", "disable_parallel_tool_use": False}, {}, id="several"),
    ],
)
def test_a_tool_choice_arrives(choice: Json, expected: Json) -> None:
    asked = plain(read(tools=[_TOOL], tool_choice=choice))
    names = ("tool_choice", "parallel_tool_calls")
    assert {name: asked[name] for name in names if name in asked} == expected


def test_a_choice_among_no_tools_is_none() -> None:
    asked = read(tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert not asked.HasField("tool_choice")
    assert not asked.HasField("parallel_tool_calls")


def test_the_web_search_is_chats_own() -> None:
    where = {"type": "approximate", "city": "Lisbon", "country": "PT"}
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8, "user_location": where}
    asked = read(tools=[search, _TOOL], tool_choice={"type": "tool", "name": "web_search"})
    assert plain(asked.web_search_options) == {
        "user_location": {"type": "approximate", "approximate": {"city": "Lisbon", "country": "PT"}}
    }
    assert [tool.function.name for tool in asked.tools] == ["f"]
    assert not asked.HasField("tool_choice")


def test_a_request_as_agents_send_it_arrives_without_what_only_anthropic_knows() -> None:
    cached = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    asked = plain(
        read(
            system=[
                {"type": "text", "text": "You are an agent."},
                {"type": "text", "text": "Rules.", **cached},
            ],
            messages=[
                blocks(
                    "user",
                    {"type": "text", "text": "<reminder/>"},
                    {"type": "text", "text": "Hi", **cached},
                ),
                {"role": "system", "content": "The date has changed."},
            ],
            tools=[_TOOL | {"description": "d", "eager_input_streaming": True, **cached}],
            metadata={"user_id": "user_1_session_2"},
            thinking={"type": "adaptive", "display": "summarized"},
            output_config={"effort": "medium"},
            context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        )
    )
    assert asked == {
        "model": "m",
        "max_completion_tokens": 9,
        "reasoning_effort": "medium",
        "messages": [
            {"role": "system", "content": [{"text": "You are an agent.\nRules."}]},
            {"role": "user", "content": [{"text": "<reminder/>"}, {"text": "Hi"}]},
            {"role": "system", "content": [{"text": "The date has changed."}]},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": '{"type":"object"}'},
            }
        ],
    }


# --- Faults ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "said"),
    [
        pytest.param({"max_tokens": None}, "max_tokens is required", id="no-max-tokens"),
        pytest.param({"max_tokens": "9"}, "max_tokens must be a whole number", id="max-tokens"),
        pytest.param({"messages": None}, "messages is required", id="no-messages"),
        pytest.param({"messages": []}, "messages is required", id="empty-messages"),
        pytest.param({"messages": ["Hi"]}, "messages[0] must be an object", id="message"),
        pytest.param({"messages": [{"content": "Hi"}]}, "messages[0].role is required", id="no-role"),
        pytest.param(
            {"messages": [{"role": "tool", "content": ""}]}, "messages[0].role must be", id="role"
        ),
        pytest.param({"messages": [{"role": "user"}]}, "messages[0].content is required", id="no-content"),
        pytest.param(
            {"messages": [{"role": "user", "content": 1}]}, "messages[0].content must be", id="content"
        ),
        pytest.param(
            {"messages": [blocks("user", {"type": "text", "text": 1})]},
            "messages[0].content[0].text must be a string",
            id="text",
        ),
        pytest.param(
            {"messages": [blocks("user", {"type": "text", "text": "a", "image_url": {}})]},
            "messages[0].content[0].image_url is not known",
            id="a-member-of-chat-that-is-none-here",
        ),
        pytest.param(
            {"messages": [blocks("user", {"type": "container_upload", "file_id": "f"})]},
            "messages[0].content[0].type is container_upload, which",
            id="block",
        ),
        pytest.param(
            {"messages": [blocks("user", {"type": "image", "source": {"type": "file", "file_id": "f"}})]},
            "messages[0].content[0].source.type is file, which",
            id="uploaded-image",
        ),
        pytest.param(
            {"messages": [blocks("user", {"type": "document", "source": {"type": "url", "url": "u"}})]},
            "messages[0].content[0].source.type is url, which",
            id="document-by-url",
        ),
        pytest.param(
            {"messages": [blocks("user", {"type": "document"})]},
            "messages[0].content[0].source is required",
            id="no-source",
        ),
        pytest.param(
            {"messages": [blocks("user", {"type": "tool_use", "id": "a", "name": "f", "input": {}})]},
            "messages[0].content[0].type is tool_use, which",
            id="a-call-of-the-user",
        ),
        pytest.param(
            {"messages": [blocks("assistant", {"type": "tool_use", "id": "a", "name": "f", "input": "x"})]},
            "messages[0].content[0].input must be an object",
            id="input",
        ),
        pytest.param(
            {"messages": [blocks("user", {"type": "tool_result", "tool_use_id": "a", "content": [{}]})]},
            "messages[0].content[0].content[0].type is required",
            id="block-of-a-result",
        ),
        pytest.param(
            {"messages": [blocks("assistant", {"type": "thinking", "thinking": "a", "tool_calls": []})]},
            "messages[0].content[0].tool_calls is not known",
            id="thoughts-with-a-member-of-chat",
        ),
        pytest.param(
            {
                "messages": [
                    blocks(
                        "user",
                        *(
                            {
                                "type": "tool_result",
                                "tool_use_id": "a",
                                "content": [{"type": "text", "text": ""}] * 10_000,
                            }
                            for _ in range(2)
                        ),
                    )
                ]
            },
            "messages[0].content[1].content holds too much",
            id="blocks-inside-of-blocks",
        ),
        pytest.param({"system": 1}, "system must be", id="system"),
        pytest.param({"tools": [{"name": "f"}]}, "tools[0].input_schema is required", id="no-schema"),
        pytest.param({"tools": [_TOOL | {"name": None}]}, "tools[0].name is required", id="no-name"),
        pytest.param(
            {"tools": [_TOOL, {"type": "bash_20250124", "name": "bash"}]},
            "tools[1].type is bash_20250124, which",
            id="a-tool-of-anthropics",
        ),
        pytest.param(
            {"tools": [{"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a"]}]},
            "tools[0].allowed_domains cannot",
            id="domains",
        ),
        pytest.param({"tool_choice": {"type": "some"}}, "tool_choice.type must be", id="choice"),
        pytest.param(
            {"tool_choice": {"type": "tool"}}, "tool_choice.name is required", id="choice-of-nothing"
        ),
        pytest.param({"thinking": {"type": "x"}}, "thinking.type must be", id="thinking"),
        pytest.param(
            {"thinking": {"type": "enabled"}}, "thinking.budget_tokens is required", id="no-budget"
        ),
        pytest.param(
            {"output_config": {"format": {"type": "x"}}}, "output_config.format.type must", id="format"
        ),
        pytest.param({"metadata": {"user_id": 1}}, "metadata.user_id must be a string", id="user"),
        pytest.param({"container": "c"}, "container needs", id="container"),
        pytest.param({"mcp_servers": [{"url": "u"}]}, "mcp_servers are", id="mcp"),
        pytest.param({"thread": {"id": "t"}}, "thread is not served", id="thread"),
        pytest.param({"inference_geo": "eu"}, "inference_geo cannot", id="geo"),
        pytest.param({"n": 2}, "n is not known", id="a-member-of-chat"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(members: Json, said: str) -> None:
    assert fault(**members).startswith(said)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b'{"model": "m"', id="cut-off"),
        pytest.param(b'{"model": "\xff"}', id="no-utf-8"),
        pytest.param(b'{"a": ' + b"[" * 100_000, id="deep"),
        pytest.param(b'{"max_tokens": ' + b"9" * 10_000 + b"}", id="endless-number"),
    ],
)
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        messages.read(body)


# fmt: off
_NAMES = st.sampled_from([
    "model", "max_tokens", "messages", "system", "tools", "tool_choice", "thinking", "output_config",
    "role", "content", "type", "text", "source", "data", "media_type", "url", "name", "input", "id",
    "tool_use_id", "input_schema", "stop_sequences", "metadata", "is_error", "cache_control", "title",
    "budget_tokens", "user_location", "schema", "format", "stream", "provider",
])
_WORDS = st.sampled_from([
    "user", "assistant", "system", "text", "image", "document", "search_result", "tool_use", "tool_result",
    "thinking", "base64", "url", "content", "enabled", "auto", "tool", "custom", "web_search_20250305",
    "web_search_tool_result", "compaction", "json_schema",
])
# fmt: on
_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | _WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_NAMES | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=25,
)
_BLOCKS = st.dictionaries(_NAMES, _ANYTHING, max_size=4).flatmap(
    lambda members: _WORDS.map(lambda kind: members | {"type": kind})
)
_MESSAGES = st.lists(
    st.fixed_dictionaries({"role": _WORDS, "content": st.lists(_BLOCKS, max_size=3) | _ANYTHING}),
    max_size=3,
)
_BODIES = st.fixed_dictionaries(
    {"model": st.just("m"), "max_tokens": st.integers(), "messages": _MESSAGES | _ANYTHING},
    optional={
        "system": _ANYTHING,
        "tools": st.lists(_BLOCKS, max_size=2) | _ANYTHING,
        "tool_choice": _BLOCKS | _ANYTHING,
        "thinking": _BLOCKS | _ANYTHING,
        "output_config": _ANYTHING,
        "metadata": _ANYTHING,
        "provider": _ANYTHING,
        "new": _ANYTHING,
    },
)


@given(_BODIES | _ANYTHING)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        request = messages.read(json.dumps(value).encode()).request
        validate.chat(request)
        request.SerializeToString()
    except InvalidRequest:
        pass


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    with pytest.raises(InvalidRequest):
        messages.read(value)
