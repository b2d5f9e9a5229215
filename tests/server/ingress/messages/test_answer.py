"""A whole answer as Anthropic's message object."""

import json
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from interference.v1.completion_pb2 import AnswerMessage, ChatCompletion, Choice
from server.ingress.messages.events import MessagesAnswer

Json = dict[str, Any]


def whole(
    message: Json | None = None,
    *,
    finish: str = "stop",
    extra: Json | None = None,
    stops: str = "",
    **members: Any,
) -> Json:
    """The message object of an answer with one choice."""
    choice = Choice(index=0, message=AnswerMessage(**message or {}), finish_reason=finish)
    if extra:
        struct = Struct()
        struct.update(extra)
        choice.extra.CopyFrom(struct)
    completion = ChatCompletion(id="chatcmpl-1", model="m", provider="P", choices=[choice], **members)
    read: Json = json.loads(MessagesAnswer("asked", tuple(stops.split())).whole(completion))
    return read


def test_an_answer_has_every_member_that_the_sdk_reads() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    assert whole({"content": "Hi"}, usage=usage, service_tier="default") == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 9,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 4,
            "service_tier": "standard",
        },
        "provider": "P",
    }


def test_thoughts_stand_before_text_and_text_before_calls() -> None:
    message = {
        "reasoning": "Hm",
        "content": "I look.",
        "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": '{"b": 1.0, "a": 2}'}}],
    }
    assert whole(message, finish="tool_calls")["content"] == [
        {"type": "thinking", "thinking": "Hm", "signature": ""},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"b": 1.0, "a": 2}},
    ]


def test_an_answer_without_content_has_none() -> None:
    assert whole({"content": ""})["content"] == []
    assert json.loads(MessagesAnswer("asked").whole(ChatCompletion()))["content"] == []


def test_a_call_without_an_id_is_given_one() -> None:
    (block,) = whole({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]})["content"]
    assert block["id"].startswith("toolu_")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param("", {}, id="none"),
        pytest.param("null", {"INVALID_JSON": "null"}, id="null"),
        pytest.param("[1]", {"INVALID_JSON": "[1]"}, id="a-list"),
        pytest.param('{"a": 1', {"INVALID_JSON": '{"a": 1'}, id="cut-off"),
        pytest.param('{"a": NaN}', {"INVALID_JSON": '{"a": NaN}'}, id="no-json"),
    ],
)
def test_arguments_that_are_no_object_are_told_in_one(arguments: str, expected: Json) -> None:
    message = {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": arguments}}]}
    assert whole(message)["content"][0]["input"] == expected


@pytest.mark.parametrize(
    ("finish", "message", "reason"),
    [
        pytest.param("stop", {}, "end_turn", id="natural"),
        pytest.param("length", {}, "max_tokens", id="length"),
        pytest.param("tool_calls", {}, "tool_use", id="calls"),
        pytest.param("function_call", {}, "tool_use", id="deprecated-call"),
        pytest.param("content_filter", {}, "refusal", id="filtered"),
        pytest.param("stop", {"refusal": "No."}, "refusal", id="refused"),
        pytest.param("stop", {"tool_calls": [{"id": "a"}]}, "tool_use", id="forced-call"),
        pytest.param("length", {"tool_calls": [{"id": "a"}]}, "max_tokens", id="call-cut-off"),
        pytest.param("model_context_window_exceeded", {}, "model_context_window_exceeded", id="own-word"),
        pytest.param("eos", {}, "end_turn", id="unknown-word"),
        pytest.param("", {}, "end_turn", id="none"),
    ],
)
def test_why_it_stopped(finish: str, message: Json, reason: str) -> None:
    assert whole(message, finish=finish)["stop_reason"] == reason


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        pytest.param({"stop_reason": "END"}, ("stop_sequence", "END"), id="vllm"),
        pytest.param({"matched_stop": "END"}, ("stop_sequence", "END"), id="sglang"),
        pytest.param({"stop_reason": 128009}, ("end_turn", None), id="a-token"),
        pytest.param({"stop_reason": "other"}, ("end_turn", None), id="not-asked-for"),
        pytest.param({}, ("end_turn", None), id="not-told"),
    ],
)
def test_a_stop_sequence_is_told_where_the_provider_tells_it(
    extra: Json, told: tuple[str, str | None]
) -> None:
    message = whole({"content": "a"}, extra=extra, stops="STOP END")
    assert (message["stop_reason"], message["stop_sequence"]) == told


def test_a_refusal_is_text() -> None:
    assert whole({"content": "Well.", "refusal": "No."})["content"] == [
        {"type": "text", "text": "Well."},
        {"type": "text", "text": "No."},
    ]


def test_tokens_of_the_cache_are_counted_apart() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 15},
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    assert whole({"content": "a"}, usage=usage)["usage"] == {
        "input_tokens": 25,
        "cache_creation_input_tokens": 15,
        "cache_read_input_tokens": 60,
        "output_tokens": 30,
        "output_tokens_details": {"thinking_tokens": 20},
    }


def test_counts_that_cannot_be_are_not_negative() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": -1, "prompt_tokens_details": {"cached_tokens": 5}}
    counted = whole({"content": "a"}, usage=usage)["usage"]
    assert min(counted.values()) == 0


def test_pages_that_the_text_rests_on_are_citations_of_at_most_150_characters() -> None:
    text = "Rain." + "x" * 1000
    notes = [
        {
            "type": "url_citation",
            "url_citation": {"start_index": 0, "end_index": 5, "url": "https://a.example", "title": "A"},
        },
        {
            "type": "url_citation",
            "url_citation": {"start_index": 5, "end_index": 1005, "url": "https://b.example"},
        },
        {"type": "file_citation"},
    ]
    (block,) = whole({"content": text, "annotations": notes})["content"]
    base = {"type": "web_search_result_location", "encrypted_index": ""}
    assert block["citations"] == [
        {**base, "cited_text": "Rain.", "title": "A", "url": "https://a.example"},
        {**base, "cited_text": "x" * 150, "title": None, "url": "https://b.example"},
    ]
