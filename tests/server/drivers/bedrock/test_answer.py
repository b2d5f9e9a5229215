"""Whole answers in Bedrock's dialect: bytes in."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import forms
from server.errors import AttemptFailed, RequestRefused
from tests.server.drivers.bedrock.dialect import CONVERSE, answer, chat, read, target, whole

THOUGHT = {"reasoningText": {"text": "I must look.", "signature": "c2lnbmVk"}}
USE = {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Paris", "n": [1, 2.5]}}}


def test_an_answer_as_awss_page_has_it() -> None:
    # https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-examples.html
    got = read(
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "Here is a list."}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 125, "outputTokens": 60, "totalTokens": 185},
            "metrics": {"latencyMs": 1175},
        }
    )
    choice = got.choices[0]
    assert (got.object, got.model, got.provider) == ("chat.completion", target().model, "Up")
    assert (choice.message.role, choice.message.content) == ("assistant", "Here is a list.")
    assert choice.finish_reason == "stop"
    assert not choice.HasField("extra")
    assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens) == (125, 60, 185)
    assert forms.plain(got.extra) == {"metrics": {"latencyMs": 1175}}


def test_a_call_beside_text_and_thoughts() -> None:
    got = read(whole({"reasoningContent": THOUGHT}, {"text": "Wait."}, USE, stopReason="tool_use"))
    message = got.choices[0].message
    assert (message.content, message.reasoning) == ("Wait.", "I must look.")
    assert forms.plain(message.extra) == {"reasoning_blocks": [THOUGHT]}
    call = message.tool_calls[0]
    assert (call.id, call.type, call.function.name) == ("tooluse_1", "function", "weather")
    assert json.loads(call.function.arguments) == {"city": "Paris", "n": [1, 2.5]}
    assert got.choices[0].finish_reason == "tool_calls"


def test_only_what_is_said_is_told() -> None:
    message = read(whole(USE, {"reasoningContent": {"redactedContent": "aGlkZGVu"}})).choices[0].message
    assert not message.HasField("content")
    assert not message.HasField("reasoning")
    assert forms.plain(message.extra) == {"reasoning_blocks": [{"redactedContent": "aGlkZGVu"}]}


def test_what_the_contract_has_no_place_for_is_told_beside_it() -> None:
    asked = {
        "toolUse": {"toolUseId": "t", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}
    }
    citation = {"title": "T", "location": {"web": {"url": "https://a.example"}}}
    cited = {"citationsContent": {"content": [{"text": "It "}, {"text": "is."}], "citations": [citation]}}
    got = read(
        whole(
            *(asked, cited, {"image": {"format": "png", "source": {"bytes": "iVBO"}}}),
            trace={"guardrail": {"actionReason": "none"}},
            serviceTier={"type": "flex"},
            additionalModelResponseFields={"a": 1},
        )
    )
    assert got.choices[0].message.content == "It is."
    assert forms.plain(got.choices[0].message.extra) == {
        "content_blocks": [asked],
        "citations": [citation],
        "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}],
    }
    assert got.service_tier == "flex"
    assert forms.plain(got.extra) == {
        "metrics": {"latencyMs": 1},
        "trace": {"guardrail": {"actionReason": "none"}},
        "additionalModelResponseFields": {"a": 1},
    }


@pytest.mark.parametrize(
    ("reason", "finish", "told"),
    [
        ("end_turn", "stop", False),
        ("tool_use", "tool_calls", False),
        ("max_tokens", "length", False),
        ("stop_sequence", "stop", True),
        ("guardrail_intervened", "content_filter", True),
        ("content_filtered", "content_filter", True),
        ("model_context_window_exceeded", "length", True),
        ("something_new", "something_new", True),
    ],
)
def test_each_stop_reason_is_a_finish_reason(reason: str, finish: str, told: bool) -> None:
    choice = read(whole({"text": "a"}, stopReason=reason)).choices[0]
    assert choice.finish_reason == finish
    assert forms.plain(choice.extra) == ({"stop_reason": reason} if told else {})


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_what_the_model_made_a_mess_of_is_no_answer(reason: str) -> None:
    with pytest.raises(AttemptFailed, match=reason) as raised:
        read(whole({"text": "a"}, stopReason=reason))
    assert raised.value.cause == "broken_answer"


def test_cached_tokens_are_of_the_prompt() -> None:
    usage = {
        "inputTokens": 10,
        "outputTokens": 5,
        "totalTokens": 115,
        "cacheReadInputTokens": 70,
        "cacheWriteInputTokens": 30,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 30}],
    }
    got = read(whole({"text": "a"}, usage=usage)).usage
    assert (got.prompt_tokens, got.completion_tokens, got.total_tokens) == (110, 5, 115)
    assert (got.prompt_tokens_details.cached_tokens, got.prompt_tokens_details.cache_write_tokens) == (
        70,
        30,
    )
    assert forms.plain(got.extra) == {"cacheDetails": [{"ttl": "1h", "inputTokens": 30}]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        [],
        {},
        whole({"text": 5}),
        whole("a"),
        whole({"toolUse": 5}),
        whole({"toolUse": {"name": 5, "toolUseId": "a"}}),
        whole({"reasoningContent": 5}),
        whole({"reasoningContent": {"reasoningText": 5}}),
        whole({"image": {"source": {}}}),
        whole({"citationsContent": {"content": 5}}),
        whole({"citationsContent": {"citations": "a"}}),
        whole(stopReason=5),
        whole(usage=None),
        whole(usage={"inputTokens": "3"}),
        whole(usage={"inputTokens": 2**40}),
        {**whole(), "output": {"message": {"content": None}}},
    ],
)
def test_an_answer_of_another_shape_is_broken(content: Any) -> None:
    with pytest.raises(AttemptFailed) as raised:
        read(content)
    assert raised.value.cause == "broken_answer"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
BLOCK = st.dictionaries(
    st.sampled_from(["text", "toolUse", "reasoningContent", "citationsContent", "image", "new"]),
    JSON
    | st.dictionaries(st.sampled_from(["input", "name", "toolUseId", "reasoningText", "content"]), JSON),
    max_size=2,
)


@given(
    content=st.lists(BLOCK | JSON, max_size=3) | JSON,
    more=st.dictionaries(st.sampled_from(["stopReason", "usage", "serviceTier", "trace", "model"]), JSON),
)
def test_no_answer_makes_anything_but_an_answer_or_a_failure(content: Any, more: dict[str, Any]) -> None:
    given = {**whole(), "output": {"message": {"content": content}}, **more}
    try:
        CONVERSE.answer(answer(given), chat(), target())
    except (AttemptFailed, RequestRefused) as error:
        assert len(str(error)) < 2000  # noqa: PT017 - either will do
