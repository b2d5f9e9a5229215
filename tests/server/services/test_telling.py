"""The headers and the log's line of a call: what is in them, how long they are, what cannot be forged."""

import json
import re
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import Attempt, InterferenceError, InvalidRequest, Unavailable
from server.routing.journal import Journal
from server.services import telling
from server.services.call import Call

SERVED = Attempt("B", "org/m", "", "", None, 12.04)
FAILED = Attempt("A", "m-A", "rate_limited", "You said: my secret", 429, 3.149)
PASSED_OVER = Attempt("C", "", "not_enabled", "set C_KEY")
TEXTS = st.text(st.characters(codec=None), max_size=300)  # with what is no character, too


def ended(
    *attempts: Attempt,
    served: Attempt | None = None,
    error: InterferenceError | None = None,
    request_id: str = "",
    model: str = "m",
) -> Call:
    """A call that has ended so."""
    journal = Journal()
    journal.planned(model, attempts)
    journal.served = served
    return Call({"x-request-id": request_id}, rest=True, journal=journal, error=error)


def line(call: Call, status: str = "OK") -> dict[str, Any]:
    """What the line says."""
    told = telling.line(call, "Chat.CreateCompletion", status)
    assert told.endswith(b"\n")
    return cast("dict[str, Any]", json.loads(told))


async def test_headers_tell_the_provider_the_model_and_every_attempt() -> None:
    assert telling.headers(ended(FAILED, PASSED_OVER, served=SERVED)) == (
        ("x-interference-provider", "B"),
        ("x-interference-model", "org/m"),
        (
            "x-interference-attempts",
            '"A";cause=rate_limited;duration_ms=3.1, "C";cause=not_enabled, "B";duration_ms=12.0',
        ),
    )


async def test_where_nobody_answers_headers_tell_the_attempts_alone() -> None:
    assert [name for name, _ in telling.headers(ended(FAILED))] == ["x-interference-attempts"]
    assert telling.headers(ended()) == ()


def test_the_header_of_the_attempts_is_bounded_and_leaves_the_last_out() -> None:
    ((_, told),) = telling.attempts_header([FAILED] * 1000)
    items = told.split(", ")
    assert len(told) <= 1024
    assert set(items) == {'"A";cause=rate_limited;duration_ms=3.1'}
    assert len(told) + 2 + len(items[0]) > 1024


def model_header(name: str) -> str:
    """The header of an answer by a model of this name."""
    call = ended(served=Attempt("B", name, "", ""))
    return dict(telling.headers(call))["x-interference-model"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("@cf/meta/llama-3:8b", "@cf/meta/llama-3:8b", id="as it is"),
        pytest.param("a b", "a%20b", id="a space"),
        pytest.param("100%", "100%25", id="a per cent sign"),
        pytest.param("modèle", "mod%C3%A8le", id="not ASCII"),
        pytest.param("m\r\nx-evil: 1", "m%0D%0Ax-evil:%201", id="a second header"),
        pytest.param("m\x1b[2J", "m%1B[2J", id="an escape sequence"),
        pytest.param("m" * 300, "m" * 256, id="long"),
        pytest.param("m" * 255 + "é", "m" * 255, id="nothing by halves"),
    ],
)
async def test_a_models_name_is_written_so_that_a_header_can_hold_it(name: str, told: str) -> None:
    assert model_header(name) == told


@given(st.text(min_size=1, max_size=60))
async def test_any_models_name_can_be_read_back_from_its_header(name: str) -> None:
    told = model_header(name)
    assert re.fullmatch(r"[!-~]{1,256}", told)
    assert name.startswith(unquote(told))
    assert unquote(told) == name or len(told) > 256 - 12


async def test_a_line_has_these_members_in_this_order() -> None:
    call = ended(FAILED, PASSED_OVER, served=SERVED, request_id="r")
    call.journal.first_content_ms, call.journal.total_ms, call.journal.usage = 12.5, 80.25, (3, 0)
    told = line(call)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", told.pop("time"))
    assert list(told.items()) == [
        ("event", "call"),
        ("request_id", "r"),
        ("method", "Chat.CreateCompletion"),
        ("via", "rest"),
        ("status", "OK"),
        ("model", "m"),
        ("provider", "B"),
        (
            "attempts",
            [
                {
                    "provider": "A",
                    "model": "m-A",
                    "cause": "rate_limited",
                    "status": 429,
                    "duration_ms": 3.149,
                },
                {"provider": "C", "cause": "not_enabled"},
                {"provider": "B", "model": "org/m", "duration_ms": 12.04},
            ],
        ),
        ("time_to_first_content_ms", 12.5),
        ("total_ms", 80.25),
        ("prompt_tokens", 3),
        ("completion_tokens", 0),
    ]


async def test_what_is_not_known_is_left_out_of_a_line() -> None:
    assert line(ended(model=""), "CANCELLED").keys() == {
        "time",
        "event",
        "method",
        "via",
        "status",
        "total_ms",
    }


@pytest.mark.parametrize(
    ("error", "told"),
    [
        pytest.param(Unavailable("my secret"), {"reason": "all_providers_failed"}, id="a reason"),
        pytest.param(
            InvalidRequest("n is my secret", reason="too_many", param="n"),
            {"reason": "too_many", "param": "n"},
            id="and a parameter",
        ),
        pytest.param(
            InvalidRequest("x", reason="r" * 999, param="p" * 999),
            {"reason": "r" * 64, "param": "p" * 64},
            id="bounded",
        ),
    ],
)
async def test_a_line_tells_an_error_by_its_names_alone(error: InterferenceError, told: Any) -> None:
    call = ended(FAILED, error=error)
    assert line(call, error.code.name)["error"] == told
    assert b"my secret" not in telling.line(call, "Chat.CreateCompletion", error.code.name)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('"} {"event": "call"', id="quotes"),
        pytest.param('a\n{"event": "call"}', id="a line feed"),
        pytest.param("a\x85b\u2028c\u2029d", id="other ends of lines"),
        pytest.param("a\x1b]0;b\x07\x9b2J\x7f", id="a terminal's controls"),
        pytest.param("a\u202eb", id="right to left"),
        pytest.param("a\ud800", id="half a character"),
    ],
)
async def test_nobody_can_forge_a_line(text: str) -> None:
    told = telling.line(ended(request_id=text, model=text), "m", "OK").decode("ascii")
    assert told[:-1].isprintable()
    assert len(told.splitlines()) == 1
    assert (json.loads(told)["request_id"], json.loads(told)["model"]) == (text, text)


@given(TEXTS, TEXTS, st.lists(TEXTS, max_size=3), TEXTS)
async def test_a_line_is_one_line_of_json_whatever_names_it_tells(
    request_id: str, model: str, models: Sequence[str], param: str
) -> None:
    attempts = [Attempt("A", name, "refused", name) for name in models]
    error = InvalidRequest("x", param=param)
    told = telling.line(ended(*attempts, request_id=request_id, model=model, error=error), "m", "OK")
    assert told[:-1].decode("ascii").isprintable()
    assert json.loads(told)["event"] == "call"


async def test_a_line_is_bounded_whatever_a_call_brings() -> None:
    long = "\u00e9" * 100_000
    attempt = Attempt("A", long, "refused", long)
    error = InvalidRequest(long, reason=long, param=long)
    call = ended(*[attempt] * 1000, request_id=long, model=long, error=error)
    assert len(telling.line(call, "m", "OK")) < 120_000
    assert len(line(call)["request_id"]) == 128
