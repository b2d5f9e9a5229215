"""The harness itself: each of its checks can fail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import hearing
from tests.conformance.cells import exact, has, header, lacks, path
from tests.conformance.openai_speaker import OpenAISpeaker
from tests.conformance.playing import Table, suite
from tests.conformance.said import Called, Said
from tests.conformance.stage import Seen

if TYPE_CHECKING:
    from tests.conformance.cells import Check

RAW = b'{"n": 1, "yes": true, "list": [{"a": 1.0, "b": [1]}], "nothing": null}'
SEEN = Seen("POST", "/v1/chat?x=1", {"x-key": "k"}, RAW, json.loads(RAW))


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(has("n", 1), id="a number"),
        pytest.param(has("n", 1.0), id="the same number"),
        pytest.param(has("list.0", {"b": [1]}), id="some members"),
        pytest.param(has("nothing", None), id="null"),
        pytest.param(lacks("list.1"), id="no such element"),
        pytest.param(lacks("n.a"), id="no such member"),
        pytest.param(exact("list.0.a", b"1.0"), id="the bytes"),
        pytest.param(path("/chat"), id="the path"),
        pytest.param(header("x-key", "k"), id="the header"),
    ],
)
def test_what_arrived_is_seen(check: Check) -> None:
    check(SEEN)


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(has("n", 2), id="another number"),
        pytest.param(has("yes", 1), id="no number"),
        pytest.param(has("n", value=True), id="no boolean"),
        pytest.param(has("list", [{"b": [1]}, {}]), id="more elements"),
        pytest.param(has("list.0", {"c": 1}), id="another member"),
        pytest.param(has("missing", None), id="nothing, which is not null"),
        pytest.param(lacks("nothing"), id="null, which is not nothing"),
        pytest.param(exact("list.0.a", b"1"), id="other bytes"),
        pytest.param(path("/v1"), id="another path"),
        pytest.param(header("x-other", "k"), id="no header"),
    ],
)
def test_what_did_not_arrive_is_missed(check: Check) -> None:
    with pytest.raises(AssertionError):
        check(SEEN)


def chunk(*choices: Any, **more: Any) -> dict[str, Any]:
    return {"id": "1", "object": "chat.completion.chunk", "choices": list(choices), **more}


ROLE = {"index": 0, "delta": {"role": "assistant"}}
TEXT = {"index": 0, "delta": {"content": "Hi"}}
END = {"index": 0, "delta": {}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def test_a_stream_in_order_is_taken() -> None:
    chunks = [chunk(ROLE), chunk(TEXT), chunk(END), chunk(usage=USAGE)]
    hearing.check_stream(chunks, usage=True)
    hearing.check_stream(chunks[:-1], usage=False)


@pytest.mark.parametrize(
    ("chunks", "usage"),
    [
        pytest.param([chunk(TEXT), chunk(END)], False, id="no role"),
        pytest.param([chunk(ROLE), chunk(ROLE), chunk(END)], False, id="the role twice"),
        pytest.param([chunk(ROLE), chunk(TEXT)], False, id="no end"),
        pytest.param([chunk(ROLE), chunk(END), chunk(END)], False, id="two ends"),
        pytest.param([chunk(ROLE), chunk(END), chunk(TEXT)], False, id="text after the end"),
        pytest.param([chunk(ROLE), chunk(END)], True, id="no usage"),
        pytest.param([chunk(ROLE), chunk(END), chunk(usage=USAGE)], False, id="usage unasked"),
        pytest.param([chunk(ROLE), chunk(usage=USAGE), chunk(END)], True, id="usage too early"),
        pytest.param([chunk(ROLE), chunk(END, usage=USAGE)], True, id="usage beside a choice"),
        pytest.param([chunk(ROLE), chunk(END, id="2")], False, id="two ids"),
    ],
)
def test_a_stream_out_of_order_is_not(chunks: list[Any], usage: bool) -> None:
    with pytest.raises(AssertionError):
        hearing.check_stream(chunks, usage=usage)


def test_an_answer_is_heard_the_same_in_pieces() -> None:
    said = Said("Hi", calls=(Called("f", {"a": 1}, "c1"), Called("g", {}, "c2")), finish="tool_calls")
    pieces = [
        {"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a"'}},
        {"index": 1, "id": "c2", "function": {"name": "g", "arguments": ""}},
        {"index": 0, "function": {"arguments": ": 1}"}},
        {"index": 1, "function": {"arguments": "{}"}},
    ]
    chunks = [
        chunk(ROLE),
        chunk(TEXT),
        *(chunk({"index": 0, "delta": {"tool_calls": [piece]}}) for piece in pieces),
        chunk({**END, "finish_reason": "tool_calls"}),
    ]
    assert hearing.heard(chunks) == hearing.expected(said, usage=False)


def test_a_table_with_a_feature_left_out_is_not_complete() -> None:
    _, test_the_table_is_complete, _ = suite(Table(OpenAISpeaker(), {}))
    with pytest.raises(AssertionError):
        test_the_table_is_complete()
