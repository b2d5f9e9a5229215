"""What the events of a job say."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.drivers.gradio import chat, events, failure, outputs
from server.drivers.gradio.events import Failed, Output, Queued, Said
from server.errors import AttemptFailed, RequestRefused
from server.transport import HttpAnswer
from tests.server.drivers.gradio.spaces import (
    CHAT,
    KEY,
    completed,
    event,
    failed,
    growing,
    queued,
    space,
    target,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SHAPED = st.fixed_dictionaries(
    {
        "msg": st.sampled_from(
            ["estimation", "log", "unexpected_error", "process_completed", "process_generating", "x"]
        )
    },
    optional={
        "output": JSON | st.fixed_dictionaries({}, optional={"data": JSON, "error": JSON, "title": JSON}),
        "success": st.booleans() | JSON,
        **dict.fromkeys(("rank", "queue_size", "rank_eta", "log", "level", "message", "title"), JSON),
    },
)
FILE = st.fixed_dictionaries({}, optional={"path": JSON, "url": JSON, "image": JSON, "__type__": JSON})
MESSAGE = st.fixed_dictionaries({}, optional={"role": JSON, "content": JSON, "text": JSON})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(queued(3), Queued(3, 9, 1.5), id="the queue"),
        pytest.param(
            event("estimation", rank=-1, queue_size="x", rank_eta=1e300),
            Queued(None, None, None),
            id="nonsense",
        ),
        pytest.param(event("log", level="info", log="Hm"), Said("info", "Hm"), id="a note"),
        pytest.param(growing("a"), Output(["a"], whole=False), id="an output"),
        pytest.param(completed("a", 1), Output(["a", 1], whole=True), id="the end"),
        pytest.param(event("heartbeat"), None, id="a heartbeat"),
        pytest.param(event("progress", progress_data=[{}]), None, id="progress"),
        pytest.param(event("of-tomorrow"), None, id="unknown"),
    ],
)
def test_events_are_read(data: bytes, expected: Any) -> None:
    assert events.read(data, target()) == expected


def error(data: bytes) -> Any:
    told = events.read(data, target())
    assert isinstance(told, Failed)
    return told.error


@pytest.mark.parametrize(
    ("data", "cause", "words"),
    [
        pytest.param(failed("blocked"), "server_error", "blocked", id="own words"),
        pytest.param(failed("no", "Sorry"), "server_error", "Sorry: no", id="a title"),
        pytest.param(failed(None), "server_error", "gave no reason", id="no words"),
        pytest.param(
            event("process_completed", success=False, output=None), "server_error", "no reason", id="null"
        ),
        pytest.param(
            event("unexpected_error", message="Stopped."), "server_error", "Stopped.", id="a stop"
        ),
        pytest.param(
            event("process_completed", success=True, output={}), "broken_answer", "without", id="cancelled"
        ),
        pytest.param(failed(f"no {KEY}"), "server_error", r"no \[key\]", id="a key"),
    ],
)
def test_failures_of_a_job_are_told(data: bytes, cause: str, words: str) -> None:
    with pytest.raises(AttemptFailed, match=words) as raised:
        raise error(data)
    assert raised.value.cause == cause
    assert KEY not in raised.value.message


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("You have exceeded your GPU quota (60s requested vs. 40s left). Try again in 0:12:34", 754),
        ("You have exceeded your free GPU quota. Please retry in 00:00:05.", 5),
        ("Quota exceeded, try again in 2 days, 1:00:00", 86_400),
        ("GPU quota exceeded", None),
    ],
)
def test_a_quota_says_when_it_is_there_again(words: str, seconds: float | None) -> None:
    told = error(failed(words, "ZeroGPU quota exceeded"))
    assert (told.cause, told.retry_after) == ("quota_exceeded", seconds)


@pytest.mark.parametrize(
    "words",
    [
        "Value 4096 is greater than maximum value 2048.",
        "Value 1 is less than minimum value 256.",
        "Value: x is not in the list of choices: ['a', 'b']",
    ],
)
def test_a_value_that_an_input_does_not_take_is_the_requests_fault(words: str) -> None:
    told = error(failed(words))
    assert isinstance(told, RequestRefused)
    assert words in told.message


@pytest.mark.parametrize(
    ("status", "body", "cause", "words"),
    [
        pytest.param(
            503,
            b'{"detail": "Queue is full. Max size is 2 and size is 2."}',
            "rate_limited",
            "full",
            id="full",
        ),
        pytest.param(503, b"<html>asleep</html>", "server_error", "sleeps, is paused", id="asleep"),
        pytest.param(404, b"<html>404</html>", "no_such_model", "no such Space", id="no Space"),
        pytest.param(
            401, b'{"detail": "Not authenticated"}', "key_refused", "Not authenticated", id="a login"
        ),
        pytest.param(500, b"Internal Server Error", "server_error", "status 500", id="a crash"),
    ],
)
def test_what_is_answered_in_the_place_of_a_job_is_told(
    status: int, body: bytes, cause: str, words: str
) -> None:
    told = failure.of_answer(HttpAnswer(status, {}, body), target())
    assert isinstance(told, AttemptFailed)
    assert (told.cause, told.status) == (cause, status)
    assert words in told.message


def test_what_an_app_does_not_validate_is_the_requests_fault() -> None:
    body = b'{"detail": [{"is_valid": false, "message": "too long"}]}'
    told = failure.of_answer(HttpAnswer(422, {}, body), target())
    assert isinstance(told, RequestRefused)
    assert "too long" in told.message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"[]",
        b"1",
        b'"process_completed"',
        event("process_generating", success=True, output={}),
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_is_no_event_is_a_broken_answer(data: bytes) -> None:
    with pytest.raises(AttemptFailed) as raised:
        events.read(data, target())
    assert raised.value.cause == "broken_answer"


@given(st.binary(max_size=64) | (SHAPED | JSON).map(lambda value: json.dumps(value).encode()))
def test_nothing_that_a_queue_sends_raises_anything_else(data: bytes) -> None:
    reader = chat.ChunkReader(space(CHAT), target(CHAT))
    try:
        told = events.read(data, target())
        if told is not None and not isinstance(told, Failed):
            list(reader.read(told))
    except AttemptFailed:
        return
    if isinstance(told, Failed):
        assert isinstance(told.error, AttemptFailed | RequestRefused)


@given(st.lists(JSON | FILE | MESSAGE | st.lists(FILE | MESSAGE, max_size=3), max_size=3))
def test_no_output_raises_anything_else(values: list[Any]) -> None:
    said = space({**CHAT, "extra": {"more": 1}})
    for read in (outputs.files, outputs.text):
        with suppress(AttemptFailed):
            read(outputs.chosen(values, said))
    with suppress(AttemptFailed):
        chat.completion(values, [Said("info", "Hm")], said, target(CHAT))
