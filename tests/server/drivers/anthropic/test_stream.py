"""Streams in Anthropic's dialect: events in, chunks out."""

import contextlib
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import forms
from server.drivers.base import ChunkDecoder
from server.errors import AttemptFailed, RequestRefused
from tests.server.drivers.anthropic.dialect import begun, decoder, delta, ended, event, start, stop
from tests.server.drivers.anthropic.test_answer import BLOCK, JSON

# https://platform.claude.com/docs/en/build-with-claude/streaming, the basic request.
HELLO = [
    begun(usage={"input_tokens": 25, "output_tokens": 1}),
    start(type="text", text=""),
    event("ping"),
    delta(type="text_delta", text="Hello"),
    delta(type="text_delta", text="!"),
    stop(),
    *ended(),
]


def chunks(reader: ChunkDecoder, *events: bytes) -> list[Any]:
    """The chunks of events that arrive together, and of the end."""
    return [*reader.feed(events), *reader.end()]


def text(chunks: list[Any], name: str = "content") -> str:
    return "".join(getattr(choice.delta, name) for chunk in chunks for choice in chunk.choices)


def reasons(chunks: list[Any]) -> list[str]:
    return [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]


def extra(chunks: list[Any]) -> dict[str, Any]:
    """What was added to the deltas, lists joined."""
    told: dict[str, Any] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            for name, value in forms.plain(choice.delta.extra).items():
                told[name] = told.get(name, []) + value
    return told


def test_a_documented_stream_is_read() -> None:
    reader = decoder(stream_options={"include_usage": True})
    first, last, usage = chunks(reader, *HELLO)
    assert reader.done
    assert (first.id, first.model, first.provider) == ("msg_1", "claude-x", "Up")
    assert (first.object, first.created) == ("chat.completion.chunk", last.created)
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "Hello!")
    assert (first.choices[0].HasField("finish_reason"), last.choices[0].finish_reason) == (False, "stop")
    assert not last.choices[0].delta.HasField("role")
    assert (len(usage.choices), usage.usage.prompt_tokens, usage.usage.completion_tokens) == (0, 25, 15)
    assert {chunk.id for chunk in (first, last, usage)} == {"msg_1"}


def test_the_usage_comes_only_where_it_was_asked_for() -> None:
    assert not any(chunk.HasField("usage") for chunk in chunks(decoder(), *HELLO))


def test_texts_that_arrive_apart_leave_apart() -> None:
    reader = decoder()
    came = [list(reader.feed([event])) for event in HELLO]
    assert [len(chunks) for chunks in came] == [0, 0, 0, 1, 1, 0, 1, 0]


TOOL = [
    begun(),
    start(type="text", text=""),
    delta(type="text_delta", text="Let me see."),
    stop(),
    start(1, type="tool_use", id="toolu_1", name="f", input={}, caller={"type": "direct"}),
    delta(1, type="input_json_delta", partial_json=""),
    delta(1, type="input_json_delta", partial_json='{"a":'),
    delta(1, type="input_json_delta", partial_json=" 1.0}"),
    stop(1),
    start(2, type="tool_use", id="toolu_2", name="g", input={}),
    stop(2),
    *ended("tool_use"),
]


def test_calls_are_told_in_pieces() -> None:
    told = chunks(decoder(), *TOOL)
    calls = [call for chunk in told for choice in chunk.choices for call in choice.delta.tool_calls]
    assert [(call.index, call.id, call.function.name) for call in calls if call.id] == [
        (0, "toolu_1", "f"),
        (1, "toolu_2", "g"),
    ]
    first = "".join(call.function.arguments for call in calls if call.index == 0)
    second = "".join(call.function.arguments for call in calls if call.index == 1)
    assert (first, second) == ('{"a": 1.0}', "{}")
    assert forms.plain(calls[0].extra) == {"caller": {"type": "direct"}}
    assert reasons(told) == ["tool_calls"]
    assert extra(told) == {}


THINKING = [
    begun(),
    start(type="thinking", thinking="", signature=""),
    delta(type="thinking_delta", thinking="I must "),
    delta(type="thinking_delta", thinking="look."),
    delta(type="signature_delta", signature="sig=="),
    stop(),
    start(1, type="redacted_thinking", data="x=="),
    stop(1),
    start(2, type="thinking", thinking="", signature=""),
    delta(2, type="thinking_delta", thinking="And again."),
    delta(2, type="signature_delta", signature="s2"),
    stop(2),
    start(3, type="text", text=""),
    delta(3, type="text_delta", text="42."),
    stop(3),
    *ended(),
]


def test_thoughts_are_told_and_kept_to_be_given_back() -> None:
    told = chunks(decoder(), *THINKING)
    assert (text(told, "reasoning"), text(told)) == ("I must look.\nAnd again.", "42.")
    assert extra(told) == {
        "thinking_blocks": [
            {"type": "thinking", "thinking": "I must look.", "signature": "sig=="},
            {"type": "redacted_thinking", "data": "x=="},
            {"type": "thinking", "thinking": "And again.", "signature": "s2"},
        ]
    }


PAGE = {
    "type": "web_search_result_location",
    "url": "https://a",
    "title": "A",
    "cited_text": "b",
    "encrypted_index": "e",
}
SEARCH = [
    begun(container={"id": "c"}),
    start(type="text", text=""),
    delta(type="text_delta", text="I look. "),
    stop(),
    start(1, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
    delta(1, type="input_json_delta", partial_json='{"query": "q"}'),
    stop(1),
    start(2, type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[{"url": "https://a"}]),
    stop(2),
    start(3, type="text", text="", citations=[]),
    delta(3, type="text_delta", text="Found."),
    delta(3, type="citations_delta", citation=PAGE),
    stop(3),
    *ended("pause_turn"),
]


def test_blocks_that_chat_has_no_like_for_are_told_at_the_end() -> None:
    told = chunks(decoder(), *SEARCH)
    assert text(told) == "I look. Found."
    assert reasons(told) == ["pause_turn"]
    assert extra(told) == {
        "content_blocks": [
            {"type": "text", "text": "I look. "},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
            {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": [{"url": "https://a"}],
            },
            {"type": "text", "text": "Found.", "citations": [PAGE]},
        ]
    }
    (cited,) = [one for chunk in told for choice in chunk.choices for one in choice.delta.annotations]
    assert (cited.url_citation.start_index, cited.url_citation.end_index) == (8, 14)
    assert forms.plain(told[0].extra) == {"container": {"id": "c"}}
    assert not any(chunk.HasField("extra") for chunk in told[1:])


def test_a_stream_ends_once_and_what_is_counted_after_that_counts() -> None:
    last, done = ended("pause_turn")
    more = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 99})
    reader = decoder(stream_options={"include_usage": True})
    told = chunks(reader, *SEARCH[:-2], last, *[more] * 100, done)
    assert reasons(told) == ["pause_turn"]
    assert len(extra(told)["content_blocks"]) == 4
    assert told[-1].usage.completion_tokens == 99


def test_an_answer_that_says_nothing_ends_all_the_same() -> None:
    (only,) = chunks(decoder(), begun(), *ended("refusal", stop_details={"type": "refusal"}))
    assert (only.choices[0].delta.role, only.choices[0].finish_reason) == ("assistant", "content_filter")
    assert "stop_details" in only.choices[0].extra.fields


def test_a_text_that_its_block_begins_with_is_told() -> None:
    told = chunks(decoder(), start(type="text", text="He"), delta(type="text_delta", text="y"), *ended())
    assert text(told) == "Hey"


def test_input_that_its_block_begins_with_is_told() -> None:
    told = chunks(decoder(), start(type="tool_use", id="t", name="f", input={"a": 1}), stop(), *ended())
    calls = [call for chunk in told for choice in chunk.choices for call in choice.delta.tool_calls]
    assert "".join(call.function.arguments for call in calls) == '{"a":1}'


def test_events_of_other_kinds_say_nothing() -> None:
    assert text(chunks(decoder(), event("something_new", x=1), *HELLO)) == "Hello!"


@pytest.mark.parametrize(
    ("kind", "cause", "status"),
    [
        ("overloaded_error", "server_error", 529),
        ("api_error", "server_error", 500),
        ("timeout_error", "server_error", 504),
        ("rate_limit_error", "rate_limited", 429),
        ("authentication_error", "key_refused", 401),
        ("billing_error", "quota_exceeded", 402),
        ("permission_error", "access_refused", 403),
        ("not_found_error", "no_such_model", 404),
        ("conflict_error", "conflict", 409),
        ("something_new", "server_error", 500),
    ],
)
def test_an_error_in_a_stream_fails_the_attempt(kind: str, cause: str, status: int) -> None:
    reader = decoder()
    came: list[Any] = []
    error = event("error", error={"type": kind, "message": "Busy"})
    with pytest.raises(AttemptFailed) as failed:
        came.extend(reader.feed([*HELLO[:4], error]))
    assert (failed.value.cause, failed.value.status) == (cause, status)
    assert text(came) == "Hello"


@pytest.mark.parametrize("kind", ["invalid_request_error", "request_too_large"])
def test_an_error_that_is_the_requests_fault_refuses_it(kind: str) -> None:
    with pytest.raises(RequestRefused):
        chunks(decoder(), event("error", error={"type": kind, "message": "No"}))


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([b"nonsense"], id="no JSON"),
        pytest.param([b"[1]"], id="no object"),
        pytest.param([event("message_start")], id="no message"),
        pytest.param([begun(id=5)], id="an id of another shape"),
        pytest.param([event("content_block_start", index=0)], id="no block"),
        pytest.param([start("0", type="text")], id="an index of another shape"),  # type: ignore[arg-type]
        pytest.param([start(type=5)], id="a type of another shape"),
        pytest.param([start(type="text"), start(type="text")], id="a block twice"),
        pytest.param([start(n, type="text") for n in range(10_001)], id="too many blocks"),
        pytest.param([delta(type="text_delta", text="a")], id="no block began"),
        pytest.param([start(type="text"), delta(type="text_delta", text=5)], id="a text of another shape"),
        pytest.param([start(type="tool_use", id=[], name="f")], id="a call of another shape"),
        pytest.param(
            [start(type="text"), delta(type="citations_delta", citation=5), stop()], id="a citation"
        ),
        pytest.param([event("message_delta", delta={"stop_reason": 5})], id="a reason of another shape"),
        pytest.param([event("message_delta", delta=5)], id="a delta of another shape"),
    ],
)
def test_what_is_no_stream_is_a_broken_answer(events: list[bytes]) -> None:
    with pytest.raises(AttemptFailed) as failed:
        chunks(decoder(), *events)
    assert failed.value.cause == "broken_answer"


@given(pieces=st.lists(st.text(), max_size=20), cuts=st.sets(st.integers(0, 25)))
def test_the_deltas_are_the_text_however_they_arrive(pieces: list[str], cuts: set[int]) -> None:
    events = [begun(), start(type="text", text="")]
    events += [delta(type="text_delta", text=piece) for piece in pieces]
    events += [stop(), *ended()]
    reader = decoder()
    came: list[Any] = []
    edges = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    for begin, end in itertools.pairwise(edges):
        came += list(reader.feed(events[begin:end]))
    assert text(came) == "".join(pieces)
    assert [choice.delta.HasField("role") for chunk in came for choice in chunk.choices].count(True) == 1
    assert reasons(came) == ["stop"]


KIND = st.sampled_from(
    ["text_delta", "thinking_delta", "input_json_delta", "signature_delta", "citations_delta", "new_delta"]
)
DELTA = st.fixed_dictionaries(
    {},
    optional={
        "type": KIND | JSON,
        **dict.fromkeys(("text", "thinking", "partial_json"), st.text() | JSON),
        **dict.fromkeys(("signature", "citation", "stop_reason", "input", "type2"), JSON),
    },
)
EVENT = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
                *("message_delta", "message_stop", "ping", "new"),
            ]
        )
    },
    optional={
        "index": st.integers(0, 3) | JSON,
        "content_block": BLOCK | JSON,
        "delta": DELTA | JSON,
        "message": st.dictionaries(st.sampled_from(("id", "model", "usage", "content", "x")), JSON) | JSON,
        "usage": st.dictionaries(st.sampled_from(("input_tokens", "output_tokens", "x")), JSON) | JSON,
    },
)


@given(events=st.lists(EVENT.map(lambda told: json.dumps(told).encode()) | st.binary()))
def test_any_events_are_chunks_or_a_failure(events: list[bytes]) -> None:
    reader = decoder(stream_options={"include_usage": True})
    with contextlib.suppress(AttemptFailed, RequestRefused):
        for chunk in chunks(reader, *events):
            chunk.SerializeToString()


@given(order=st.permutations(SEARCH), cut=st.integers(0, len(SEARCH)))
def test_events_in_any_order_are_chunks_or_a_failure(order: list[bytes], cut: int) -> None:
    reader = decoder()
    with contextlib.suppress(AttemptFailed, RequestRefused):
        list(reader.feed(order[:cut]))
        list(reader.feed(order[cut:]))
