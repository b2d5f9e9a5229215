"""The contract in OpenAI's JSON, and back."""

import json
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.message_pb2 import ChatMessage
from interference.v1.tool_pb2 import FunctionDefinition, Tool
from server import forms


def lowered(request: CreateCompletionRequest) -> Any:
    return json.loads(msgspec.json.encode(forms.lower(request)))


@pytest.mark.parametrize(
    ("message", "written"),
    [
        pytest.param(
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "user", "content": "Hi"},
            id="one part with only text is a string",
        ),
        pytest.param(
            {"role": "user", "content": [{"text": ""}]},
            {"role": "user", "content": ""},
            id="an empty string stays",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            id="a part that was a part stays one",
        ),
        pytest.param(
            {"role": "user", "content": [{"text": "a"}, {"image_url": {"url": "http://b"}}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": "http://b"}},
                ],
            },
            id="the type of a part is filled in",
        ),
        pytest.param(
            {"role": "user", "extra_json": '{"cache": {"a": 1.0}}'},
            {"role": "user", "cache": {"a": 1.0}},
            id="members beyond the contract",
        ),
        pytest.param(
            {
                "role": "assistant",
                "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}],
            },
            {
                "role": "assistant",
                "tool_calls": [
                    {"type": "function", "id": "1", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            id="the type of a tool call is its field, not its id",
        ),
    ],
)
def test_a_message_is_written_as_openai_has_it(message: dict[str, Any], written: dict[str, Any]) -> None:
    request = CreateCompletionRequest(messages=[ChatMessage(**message)])
    assert lowered(request) == {"messages": [written]}


@pytest.mark.parametrize(
    ("request_", "written"),
    [
        pytest.param({"tool_choice": {"mode": "auto"}}, {"tool_choice": "auto"}, id="a bare choice"),
        pytest.param(
            {"tool_choice": {"function": {"name": "f"}}},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            id="a named choice",
        ),
        pytest.param({"temperature": 1.0}, {"temperature": 1}, id="a whole double"),
        pytest.param({"temperature": 0.7}, {"temperature": 0.7}, id="a double"),
        pytest.param({"temperature": 0.0}, {"temperature": 0}, id="a zero that was set"),
        pytest.param({"seed": 2**53 + 1}, {"seed": 2**53 + 1}, id="a large seed"),
        pytest.param({"logit_bias": {"5": -100}}, {"logit_bias": {"5": -100}}, id="a map"),
        pytest.param(
            {"audio": {"format": "wav", "voice": {"name": "alloy"}}},
            {"audio": {"format": "wav", "voice": "alloy"}},
            id="a voice by name",
        ),
        pytest.param(
            {"audio": {"format": "wav", "voice": {"id": "v"}}},
            {"audio": {"format": "wav", "voice": {"id": "v"}}},
            id="a voice by id",
        ),
    ],
)
def test_a_parameter_is_written_as_openai_has_it(request_: dict[str, Any], written: dict[str, Any]) -> None:
    assert lowered(CreateCompletionRequest(**request_)) == written


def test_a_schema_is_written_byte_for_byte() -> None:
    schema = '{"b": 1.0,  "a":{"minimum":12345678901234567890}, "\\u00e4": 1e2}'
    function = FunctionDefinition(name="f", parameters=schema)
    assert schema.encode() in msgspec.json.encode(forms.lower(function))


def test_unknown_members_of_an_answer_land_in_extra() -> None:
    answer = forms.lift(
        ChatCompletion,
        {
            "id": "1",
            "x_groq": {"id": "r"},
            "choices": [{"index": 0, "message": {"content": "a", "odd": [1]}, "more": True}],
            "usage": {"prompt_tokens": 1, "queue_time": 0.5, "nothing": None},
        },
    )
    assert MessageToDict(answer, preserving_proto_field_name=True) == {
        "id": "1",
        "extra": {"x_groq": {"id": "r"}},
        "choices": [
            {"index": 0, "message": {"content": "a", "extra": {"odd": [1.0]}}, "extra": {"more": True}}
        ],
        "usage": {"prompt_tokens": 1, "extra": {"queue_time": 0.5}},
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("created", "soon", id="a string for a number"),
        pytest.param("created", -1, id="a number out of range"),
        pytest.param("created", True, id="a boolean for a number"),
        pytest.param("id", 5, id="a number for a string"),
        pytest.param("choices", {"0": {}}, id="an object for a list"),
        pytest.param("choices", [1], id="a number for an object"),
        pytest.param("usage", "none", id="a string for an object"),
        pytest.param("created", 10**400, id="a number beyond all bounds"),
    ],
)
def test_a_member_of_the_wrong_type_lands_in_extra(key: str, value: Any) -> None:
    answer = forms.lift(ChatCompletion, {key: value})
    assert list(answer.extra.fields) == [key]
    assert [field.name for field, _ in answer.ListFields()] == ["extra"]


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        pytest.param(b'{"x": 1%s}' % (b"0" * 400), "1" + "0" * 400, id="a number beyond all doubles"),
        pytest.param(b'{"x": %s1%s}' % (b"[" * 40, b"]" * 40), None, id="deep nesting"),
        pytest.param(b'{"x": %s1%s}' % (b'{"a":' * 40, b"}" * 40), None, id="deep objects"),
    ],
)
def test_what_a_struct_cannot_hold_is_kept_as_text(raw: bytes, kept: str | None) -> None:
    answer = forms.lift(ChatCompletion, msgspec.json.decode(raw))
    again = ChatCompletion.FromString(answer.SerializeToString())
    text = json.dumps(MessageToDict(again))
    assert kept is None or kept in text
    assert "1" in text


def test_an_empty_object_is_there() -> None:
    answer = forms.lift(ChatCompletion, {"usage": {}, "choices": [{"message": {}}, {}]})
    assert answer.HasField("usage")
    assert [choice.HasField("message") for choice in answer.choices] == [True, False]


def test_a_member_that_is_said_twice_is_kept() -> None:
    raw = {"choices": [{"delta": {"reasoning": "a", "reasoning_content": "b"}}]}
    delta = forms.lift(ChatCompletionChunk, raw, (("reasoning_content", "reasoning"),)).choices[0].delta
    assert (delta.reasoning, delta.extra["reasoning_content"]) == ("a", "b")


def test_another_spelling_is_read_under_the_contracts_name() -> None:
    raw = {"choices": [{"delta": {"reasoning_content": "Hm"}}]}
    chunk = forms.lift(ChatCompletionChunk, raw, (("reasoning_content", "reasoning"),))
    assert chunk.choices[0].delta.reasoning == "Hm"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
answer_keys = st.sampled_from([f.name for f in ChatCompletion.DESCRIPTOR.fields]) | st.text()


@given(st.dictionaries(answer_keys, json_values))
def test_nothing_that_an_upstream_says_can_raise(raw: dict[str, Any]) -> None:
    answer = forms.lift(ChatCompletion, raw)
    assert answer.SerializeToString() is not None


@pytest.mark.parametrize(
    ("fields", "where", "fault"),
    [
        pytest.param({"extra_json": "[]"}, "extra_json", "Expected `object`", id="not an object"),
        pytest.param({"extra_json": "{"}, "extra_json", "not valid JSON", id="cut"),
        pytest.param({"extra_json": '{"a":1} x'}, "extra_json", "not valid", id="more after it"),
        pytest.param({"extra_json": '{"n": 2}'}, "extra_json", "repeats the field n", id="a field"),
        pytest.param({"extra_json": '{"a":' * 100_000}, "extra_json", "not valid JSON", id="very deep"),
        pytest.param(
            {"tools": [{"function": {"name": "f", "parameters": "{,}"}}]},
            "tools[0].function.parameters",
            "not valid JSON",
            id="a schema",
        ),
        pytest.param(
            {"messages": [{"role": "user"}, {"role": "user", "content": [{"extra_json": "1"}]}]},
            "messages[1].content[0].extra_json",
            "Expected `object`",
            id="within a list of a list",
        ),
        pytest.param(
            {"messages": [{"role": "user"}, {"content": [{"text": "a"}]}]},
            "messages[1].role",
            "is required",
            id="what an inner message needs",
        ),
        pytest.param({"temperature": float("nan")}, "temperature", "must be a number", id="no number"),
        pytest.param({"logit_bias": {"5": float("inf")}}, "logit_bias", "must hold numbers", id="in a map"),
    ],
)
def test_a_wrong_json_text_is_found_and_named(fields: dict[str, Any], where: str, fault: str) -> None:
    [(path, message)] = forms.check(CreateCompletionRequest(**fields))
    assert path == where
    assert fault in message


def test_right_json_texts_have_no_faults() -> None:
    request = CreateCompletionRequest(
        extra_json='{"top_k": 5}',
        tools=[Tool(function=FunctionDefinition(name="f", parameters="true"))],
        metadata={"a": "b"},
    )
    assert list(forms.check(request)) == []
