"""Streams: events in, chunks out."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.drivers.gemini.events import GeminiEvents
from server.errors import AttemptFailed, RequestRefused
from tests.server.drivers.gemini.dialect import STOP, piece, streamed

CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}


def test_pieces_are_chunks_of_one_answer() -> None:
    events = [
        piece({"text": "Hm", "thought": True}),
        piece({"text": "He"}) | {"responseId": "r1"},
        piece({"text": "llo"}, **STOP) | {"responseId": "r1", "modelVersion": "v"},
    ]
    chunks = streamed(*events)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [delta.role for delta in deltas] == ["assistant", "", "", ""]
    assert [delta.reasoning for delta in deltas] == ["Hm", "", "", ""]
    assert [delta.content for delta in deltas] == ["", "He", "llo", ""]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == ["", "", "", "stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}


def test_calls_end_a_stream_as_calls_whichever_piece_has_them() -> None:
    chunks = streamed(piece(CALL, CALL), piece(CALL), piece({"text": ""}, **STOP))
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls]
    assert [call.index for call in calls] == [0, 1, 2]
    assert len({call.id for call in calls}) == 3
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_the_usage_is_the_last_that_was_told_and_comes_alone() -> None:
    first = piece({"text": "a"}) | {"usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}}
    last = piece(**STOP) | {"usageMetadata": {"candidatesTokenCount": 2, "totalTokenCount": 7}}
    chunks = streamed(first, last, stream_options={"include_usage": True})
    assert [chunk.HasField("usage") for chunk in chunks] == [False, False, True]
    assert not chunks[-1].choices
    usage = chunks[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (5, 2, 7)
    assert not any(chunk.HasField("usage") for chunk in streamed(first, last))


def test_a_prompt_that_is_blocked_ends_the_stream() -> None:
    (chunk,) = streamed({"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "No."}})
    choice = chunk.choices[0]
    assert (choice.delta.role, choice.delta.refusal, choice.finish_reason) == (
        *("assistant", "The prompt was blocked: OTHER. No."),
        "content_filter",
    )


def test_a_choice_that_has_ended_is_not_ended_again() -> None:
    blocked = {"promptFeedback": {"blockReason": "OTHER"}}
    chunks = streamed(piece({"text": "a"}, **STOP), blocked)
    ends = [[choice.finish_reason for choice in chunk.choices] for chunk in chunks]
    assert ends == [[""], [], ["stop"]]
    (chunk,) = streamed(blocked, piece(**STOP))
    assert chunk.choices[0].finish_reason == "content_filter"


def test_choices_are_told_apart() -> None:
    events = [piece({"text": word}, index=index, **STOP) for index, word in enumerate("ab")]
    chunks = streamed(*events)
    told = [chunk.choices[0] for chunk in chunks]
    assert [(c.index, c.delta.role, c.delta.content, c.finish_reason) for c in told] == [
        *((0, "assistant", "a", ""), (1, "assistant", "b", "")),
        *((0, "", "", "stop"), (1, "", "", "stop")),
    ]


@pytest.mark.parametrize(
    ("last", "finish"),
    [
        pytest.param(piece({"text": "c"}, **STOP), "stop", id="the same"),
        pytest.param(piece({"text": "c"}), "stop", id="none"),
        pytest.param(piece({"text": "c"}, finishReason="MAX_TOKENS"), "length", id="another"),
        pytest.param(piece({"text": "c"}, CALL), "tool_calls", id="calls"),
    ],
)
def test_an_end_that_comes_with_each_piece_is_told_once_and_last(last: Any, finish: str) -> None:
    used = {"usageMetadata": {"promptTokenCount": 5}}
    events = [piece({"text": text}, **STOP) | used for text in "ab"]
    *said, end, cost = streamed(*events, piece(**STOP), last, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].delta.content for chunk in said) == "abc"
    assert not any(chunk.choices[0].finish_reason for chunk in said)
    assert end.choices[0].finish_reason == finish
    assert cost.HasField("usage")
    assert not cost.choices


def test_what_is_said_of_an_end_comes_with_it() -> None:
    told = {"finishReason": "SAFETY", "finishMessage": "No.", "avgLogprobs": -0.5}
    said, end = [chunk.choices[0] for chunk in streamed(piece({"text": "a"}, **told))]
    assert dict(said.extra) == {"avgLogprobs": -0.5}
    assert end.finish_reason == "content_filter"
    assert dict(end.extra) == {"native_finish_reason": "SAFETY", "finishMessage": "No."}


@pytest.mark.parametrize(
    "reason", [{}, {"finishReason": None}, {"finishReason": "FINISH_REASON_UNSPECIFIED"}]
)
def test_a_stream_without_an_end_gets_none(reason: Any) -> None:
    chunks = streamed(piece({"text": "a"}, **reason), piece({"text": "b"}, **reason))
    assert [[choice.finish_reason for choice in chunk.choices] for chunk in chunks] == [[""], [""]]


def test_what_arrived_before_a_fault_is_given_before_it() -> None:
    with pytest.raises(AttemptFailed) as caught:
        streamed(piece({"text": "a"}), {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}})
    assert (caught.value.cause, caught.value.status) == ("server_error", 503)


ERROR = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_error_that_is_no_event_is_read_as_one(size: int, indent: int | None, end: str) -> None:
    text = f": ping{end}{end}data: {json.dumps(piece({'text': 'a'}))}{end}{end}"
    raw = (text + json.dumps(ERROR, indent=indent).replace("\n", end)).encode()
    reader = GeminiEvents(10_000)
    events = [data for at in range(0, len(raw), size) for data in reader.feed(raw[at : at + size])]
    first, last = [*events, *reader.close()]
    assert json.loads(first)["candidates"]
    assert json.loads(last) == ERROR


def test_a_mark_at_the_beginning_is_no_data() -> None:
    reader = GeminiEvents(100)
    assert [*reader.feed(b"\xef\xbb\xbfdata: 1\r\n\r\n"), *reader.close()] == [b"1"]


texts = st.text(max_size=4)
said = st.lists(
    st.one_of(
        st.builds(lambda text: {"text": text}, texts),
        st.builds(lambda text: {"text": text, "thought": True}, texts),
        st.builds(lambda text: {"functionCall": {"name": "f", "args": {"a": text}}}, texts),
    ),
    max_size=12,
)


@given(parts=said, data=st.data())
def test_the_sum_of_the_pieces_is_what_was_said(parts: list[Any], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(parts)))))
    places = [0, *cuts, len(parts)]
    events = [piece(*parts[a:b]) for a, b in pairwise(places)]
    deltas = [c.choices[0].delta for c in streamed(*events, piece(**STOP))]
    thoughts = [part["text"] for part in parts if part.get("thought")]
    spoken = [part["text"] for part in parts if "text" in part and not part.get("thought")]
    calls = [part["functionCall"]["args"] for part in parts if "functionCall" in part]
    assert "".join(delta.content for delta in deltas) == "".join(spoken)
    assert "".join(delta.reasoning for delta in deltas) == "".join(thoughts)
    made = [call for delta in deltas for call in delta.tool_calls]
    assert [json.loads(call.function.arguments) for call in made] == calls
    assert [call.index for call in made] == list(range(len(calls)))


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        pytest.param(b"nope", "broken_answer", id="no JSON"),
        pytest.param([1, 2], "broken_answer", id="no object"),
        pytest.param({"candidates": [1]}, "broken_answer", id="no candidate"),
        pytest.param(ERROR, "rate_limited", id="a limit"),
        pytest.param([ERROR], "rate_limited", id="a limit in a list"),
        pytest.param({"error": {"status": "UNAVAILABLE"}}, "server_error", id="a word alone"),
        pytest.param({"error": "no"}, "broken_answer", id="a text"),
    ],
)
def test_an_event_that_tells_of_a_failure_is_one(event: Any, cause: str) -> None:
    with pytest.raises(AttemptFailed) as caught:
        streamed(event)
    assert caught.value.cause == cause


def test_an_event_may_refuse_the_request() -> None:
    with pytest.raises(RequestRefused):
        streamed({"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}})
