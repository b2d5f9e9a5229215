"""Whole answers in Anthropic's dialect: messages in, completions out."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import forms
from server.errors import AttemptFailed, RequestRefused
from tests.server.drivers.anthropic.dialect import KEY, body, chat, message, read, said

TEXT = {"type": "text", "text": "Hi! My name is Claude."}
THOUGHT = {"type": "thinking", "thinking": "Hm", "signature": "sig=="}
REDACTED = {"type": "redacted_thinking", "data": "x=="}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}


def test_a_message_becomes_a_completion() -> None:
    completion = read(message(TEXT, id="msg_013Zva2CMHLNnjNjJKqJ2EF"))
    assert (completion.id, completion.object) == ("msg_013Zva2CMHLNnjNjJKqJ2EF", "chat.completion")
    assert (completion.model, completion.provider) == ("claude-x", "Up")
    (choice,) = completion.choices
    assert (choice.index, choice.message.role, choice.message.content) == (0, "assistant", TEXT["text"])
    assert choice.finish_reason == "stop"
    for one in (completion, choice, choice.message):
        assert not one.HasField("extra")


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
        ("compaction", "compaction"),
        ("something_new", "something_new"),
    ],
)
def test_every_stop_reason_is_told(reason: str, ours: str) -> None:
    assert read(message(TEXT, stop_reason=reason)).choices[0].finish_reason == ours


def test_what_openai_has_no_word_for_is_told_beside_it() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    choice = read(message(stop_reason="refusal", stop_details=details)).choices[0]
    assert forms.plain(choice.extra) == {"stop_details": details}
    assert (choice.message.content, choice.message.HasField("content")) == ("", True)
    stopped = read(message(TEXT, stop_reason="stop_sequence", stop_sequence="END")).choices[0]
    assert forms.plain(stopped.extra) == {"stop_sequence": "END"}
    full = read(message(TEXT, stop_reason="model_context_window_exceeded")).choices[0]
    assert forms.plain(full.extra) == {"stop_reason": "model_context_window_exceeded"}


def test_the_usage_counts_what_a_cache_has_among_the_prompt() -> None:
    completion = read(
        message(
            TEXT,
            usage={
                "input_tokens": 3,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 20,
                "output_tokens": 9,
                "output_tokens_details": {"thinking_tokens": 4},
                "cache_creation": {"ephemeral_1h_input_tokens": 20, "ephemeral_5m_input_tokens": 0},
                "service_tier": "standard",
                "server_tool_use": None,
            },
        )
    )
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (123, 9, 132)
    details = usage.prompt_tokens_details
    assert (details.cached_tokens, details.cache_write_tokens) == (100, 20)
    assert usage.completion_tokens_details.reasoning_tokens == 4
    assert forms.plain(usage.extra).keys() == {"cache_creation"}
    assert completion.service_tier == "default"


@pytest.mark.parametrize("count", [-1, 1.5, "3", True, 2**40, {}])
def test_what_is_no_count_is_told_as_it_is(count: Any) -> None:
    completion = read(message(TEXT, usage={"input_tokens": count, "output_tokens": 2}))
    assert (completion.usage.prompt_tokens, completion.usage.total_tokens) == (0, 2)
    assert "input_tokens" in completion.usage.extra.fields


def test_calls_keep_their_arguments_byte_for_byte() -> None:
    raw = b'{"a":  1.0, "big": 12345678901234567890123, "z": "\\u00e9"}'
    answer = json.dumps(message(TEXT, {**CALL, "input": 0}, stop_reason="tool_use")).encode()
    completion = read(answer.replace(b'"input": 0', b'"input": ' + raw))
    (call,) = completion.choices[0].message.tool_calls
    assert (call.id, call.type, call.function.name) == ("toolu_1", "function", "f")
    assert call.function.arguments.encode() == raw


def test_what_is_added_to_a_call_comes_back_with_it() -> None:
    completion = read(message({**CALL, "caller": {"type": "direct"}}))
    (call,) = completion.choices[0].message.tool_calls
    assert not completion.choices[0].message.HasField("content")
    given = said("assistant", tool_calls=[{"id": call.id, "function": call.function, "extra": call.extra}])
    (block,) = body(chat(messages=[said("user", "Hi"), given]))["messages"][1]["content"]
    assert block == {**CALL, "caller": {"type": "direct"}}


def test_thoughts_are_told_and_kept_to_be_given_back() -> None:
    answer = read(message(THOUGHT, REDACTED, TEXT)).choices[0].message
    assert (answer.reasoning, answer.content) == ("Hm", TEXT["text"])
    assert forms.plain(answer.extra) == {"thinking_blocks": [THOUGHT, REDACTED]}


ROUND_TRIPS = [
    pytest.param([TEXT], id="text"),
    pytest.param([THOUGHT, TEXT, CALL], id="thoughts, text and a call"),
    pytest.param([REDACTED, CALL], id="redacted thoughts"),
    pytest.param([THOUGHT, TEXT, THOUGHT, CALL], id="thoughts in between"),
    pytest.param([TEXT, CALL, {**TEXT, "text": " After."}], id="text after a call"),
    pytest.param(
        [TEXT, SEARCH, {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}], id="search"
    ),
    pytest.param(
        [{**TEXT, "citations": [{"type": "char_location", "cited_text": "a", "document_index": 0}]}],
        id="citations",
    ),
]


@pytest.mark.parametrize("blocks", ROUND_TRIPS)
def test_an_answer_given_back_is_what_it_was(blocks: list[dict[str, Any]]) -> None:
    answer = read(message(*blocks)).choices[0].message
    given = said("assistant", *([answer.content] if answer.content else []), extra=answer.extra)
    calls = [{"id": call.id, "function": call.function} for call in answer.tool_calls]
    messages = [said("user", "Hi"), given | {"tool_calls": calls}]
    assert body(chat(messages=messages))["messages"][1]["content"] == blocks


def test_citations_are_told_where_they_stand() -> None:
    page = {
        "type": "web_search_result_location",
        "url": "https://a",
        "title": "A",
        "cited_text": "b",
        "encrypted_index": "e",
    }
    place = {"type": "page_location", "cited_text": "c", "document_index": 0, "start_page_number": 1}
    answer = (
        read(
            message(
                {"type": "text", "text": "First. "},
                {"type": "text", "text": "Second.", "citations": [page, place]},
            )
        )
        .choices[0]
        .message
    )
    assert answer.content == "First. Second."
    web, other = answer.annotations
    cited = web.url_citation
    assert (web.type, cited.url, cited.title, cited.start_index, cited.end_index) == (
        "url_citation",
        "https://a",
        "A",
        7,
        14,
    )
    assert forms.plain(cited.extra) == {"cited_text": "b", "encrypted_index": "e"}
    assert other.type == "page_location"
    assert forms.plain(other.extra)["start_page_number"] == 1


def test_what_is_added_to_an_answer_is_told() -> None:
    completion = read(message(TEXT, container={"id": "c"}, diagnostics=None, x_new=1))
    assert forms.plain(completion.extra) == {"container": {"id": "c"}, "x_new": 1}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"<html>", id="no JSON"),
        pytest.param([], id="no object"),
        pytest.param({}, id="no content"),
        pytest.param(message() | {"content": "Hi"}, id="content of another shape"),
        pytest.param(message() | {"content": ["Hi"]}, id="a block of another shape"),
        pytest.param(message({"text": "Hi"}), id="a block without a type"),
        pytest.param(message({"type": "text", "text": 5}), id="a text of another shape"),
        pytest.param(message({**CALL, "id": 5}), id="an id of another shape"),
        pytest.param(message({**TEXT, "citations": [5]}), id="a citation of another shape"),
        pytest.param(message(TEXT, stop_reason=5), id="a reason of another shape"),
        pytest.param(message(*[TEXT] * 10_001), id="too many blocks"),
    ],
)
def test_what_is_no_message_is_a_broken_answer(content: Any) -> None:
    with pytest.raises(AttemptFailed) as failed:
        read(content)
    assert failed.value.cause == "broken_answer"


def test_an_error_in_a_success_is_a_failure() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": f"Busy {KEY}"}}
    with pytest.raises(AttemptFailed, match=r"Busy \[key\]") as failed:
        read(error)
    assert (failed.value.cause, failed.value.status) == ("server_error", 529)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
MEMBERS = ("type", "text", "thinking", "signature", "id", "name", "input", "citations", "caller", "data")
KINDS = ("text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "new")
BLOCK = st.dictionaries(st.sampled_from(MEMBERS), JSON) | st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)}, optional=dict.fromkeys(MEMBERS[1:], JSON)
)
ANSWER = st.dictionaries(st.sampled_from(tuple(message())), JSON | st.lists(BLOCK))


@given(content=st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_answer_or_a_failure(content: bytes) -> None:
    with contextlib.suppress(AttemptFailed, RequestRefused):
        read(content)


@given(answer=ANSWER, blocks=st.lists(BLOCK))
def test_any_blocks_are_an_answer_or_a_failure(answer: dict[str, Any], blocks: list[Any]) -> None:
    for told in (message(*blocks) | answer, message(*blocks)):
        with contextlib.suppress(AttemptFailed, RequestRefused):
            read(told).SerializeToString()
