"""That the judge lets through what is legal, and nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from tests.soak import says
from tests.soak.asks import Ask, Leaving
from tests.soak.judge import Came, judge

PROMPT = says.Prompt(7, 3)
REST = Ask(PROMPT, "REST", text=False, stream=True, model="m", providers=("Alder", "Birch"))
UNARY = replace(REST, stream=False)
GRPC = replace(REST, way="gRPC")
ANYONE = replace(REST, providers=())
HURRIED = replace(REST, timeout=0.5)
LEAVING = replace(REST, leaving=Leaving(after_content=True))
WHOLE = "".join(says.pieces("Alder", PROMPT))
PART = says.pieces("Alder", PROMPT)[0]
DOWN = {"provider": "Alder", "cause": "connect_failed"}
LIMITED = {"provider": "Birch", "cause": "rate_limited"}
SERVED = {"provider": "Alder", "cause": ""}
TIMES = {"time_to_first_content_ms": 1.0, "total_ms": 2.0}
HEADERS = {
    "provider": "Alder",
    "attempts": '"Birch";cause=rate_limited;duration_ms=1.0, "Alder";duration_ms=2.0',
}


def _came(content: str = WHOLE, *providers: str, **more: Any) -> Came:
    """A whole answer of Alder's, but for what is said."""
    fields: dict[str, Any] = {"code": 200, "finished": True, "done": True, "headers": HEADERS, **more}
    fields.setdefault("routing", {"attempts": [LIMITED, SERVED], **TIMES})
    return Came(content=content, providers=set(providers or ("Alder",)), **fields)


def _cut(content: str = PART, **more: Any) -> Came:
    """A stream of Alder's that breaks off with an error."""
    error = {"type": "api_error", "code": "stream_broken"}
    fields = {"finished": False, "done": False, "error": {"error": error, "attempts": [DOWN]}} | more
    return _came(content, **fields)


def _failed(code: int | str = 503, kind: str = "api_error", reason: str = "", **more: Any) -> Came:
    """A call that ended before any content."""
    attempts = more.pop("attempts", [DOWN, LIMITED])
    error = {"type": kind, "code": reason or "all_providers_failed"}
    told = ", ".join(f'"{attempt["provider"]}";cause={attempt["cause"]}' for attempt in attempts)
    return Came(code=code, error={"error": error, "attempts": attempts}, headers={"attempts": told}, **more)


@pytest.mark.parametrize(
    ("ask", "came", "outcome"),
    [
        pytest.param(REST, _came(), "whole stream", id="a whole stream"),
        pytest.param(UNARY, _came(), "whole answer", id="a whole answer"),
        pytest.param(GRPC, _came(code="OK"), "whole stream", id="a whole stream over gRPC"),
        pytest.param(
            REST,
            _came(WHOLE.replace(PART, PART[:-1] + says.PADDING + ";")),
            "whole stream",
            id="a piece with padding",
        ),
        pytest.param(REST, _cut(), "stream broken off with an error", id="an error after content"),
        pytest.param(GRPC, _cut(code="UNAVAILABLE"), "stream broken off with an error", id="and a status"),
        pytest.param(REST, _failed(), "error 503", id="all failed"),
        pytest.param(GRPC, _failed("UNAVAILABLE"), "error 503", id="all failed over gRPC"),
        pytest.param(
            ANYONE,
            _failed(429, "rate_limit_error", "rate_limited", attempts=[LIMITED]),
            "error 429",
            id="all limited",
        ),
        pytest.param(
            REST,
            _failed(429, "rate_limit_error", "overloaded", attempts=[]),
            "error 429",
            id="a full server",
        ),
        pytest.param(
            HURRIED,
            _failed(504, "timeout_error", "deadline_passed", attempts=[], seconds=0.5),
            "error 504",
            id="a deadline",
        ),
        pytest.param(
            replace(HURRIED, way="worker"),
            Came(code="DEADLINE_EXCEEDED", seconds=0.5),
            "error 504",
            id="a deadline of the caller's gRPC library",
        ),
        pytest.param(
            LEAVING, _came(PART, done=False, left=True), "left after the first content", id="leaving late"
        ),
        pytest.param(LEAVING, Came(left=True), "left before the first content", id="leaving early"),
    ],
)
def test_a_legal_end_is_named(ask: Ask, came: Came, outcome: str) -> None:
    assert (judge(ask, came).outcome, judge(ask, came).illegal) == (outcome, "")


@pytest.mark.parametrize(
    ("ask", "came", "reason"),
    [
        pytest.param(REST, _came(WHOLE, "Alder", "Birch"), "mixes Alder and Birch", id="two names"),
        pytest.param(
            REST,
            _came(PART + says.pieces("Birch", PROMPT)[1] + says.pieces("Alder", PROMPT)[2]),
            "text of nobody",
            id="another provider's text",
        ),
        pytest.param(
            REST,
            _came("".join(says.pieces("Alder", says.Prompt(8, 3)))),
            "text of nobody",
            id="another request's text",
        ),
        pytest.param(REST, _came(PART + PART), "text of nobody", id="a piece twice"),
        pytest.param(REST, _came(WHOLE.removeprefix(PART)), "text of nobody", id="a piece lost"),
        pytest.param(REST, _came(PART), "is not whole", id="a clean end in the middle"),
        pytest.param(REST, _came(WHOLE[:-1]), "text of nobody", id="half a piece"),
        pytest.param(REST, _came(finished=False), "without a finish reason", id="no finish reason"),
        pytest.param(
            REST, _came(WHOLE, "Cedar"), "'Cedar' answered, which was not asked for", id="another provider"
        ),
        pytest.param(REST, _came(routing={}), "the last attempt of the routing is {}", id="no routing"),
        pytest.param(
            REST, _came(routing={"attempts": [LIMITED, SERVED]}), "no time_to_first", id="no times"
        ),
        pytest.param(REST, _came(headers={}), "the headers name None", id="no headers"),
        pytest.param(
            REST,
            _came(headers=HEADERS | {"attempts": '"Alder"'}),
            "the headers tell of",
            id="headers that say otherwise",
        ),
        pytest.param(
            REST, _came(routing={"attempts": [SERVED, LIMITED]}), "the last attempt", id="a wrong routing"
        ),
        pytest.param(
            REST, _cut(error={}), "ended with neither an end nor an error", id="a silent end of a stream"
        ),
        pytest.param(REST, _cut(done=True), "ended well and with an error", id="both ends"),
        pytest.param(REST, _cut(""), "an error in the stream before any content", id="a late status"),
        pytest.param(REST, _failed(500, "api_error", "internal_error"), "with the code 500", id="a defect"),
        pytest.param(GRPC, _failed("INTERNAL"), "with the code INTERNAL", id="a defect over gRPC"),
        pytest.param(REST, _failed(503, "timeout_error"), "of type timeout_error", id="the wrong type"),
        pytest.param(REST, _failed(attempts=[]), "without attempts", id="no attempts"),
        pytest.param(REST, _failed(attempts=[DOWN]), "without asking Birch", id="a provider left out"),
        pytest.param(
            REST, _failed(attempts=[DOWN, {"provider": "Birch", "cause": ""}]), "cannot be", id="no cause"
        ),
        pytest.param(
            HURRIED,
            _failed(504, "timeout_error", "deadline_passed", seconds=0.2),
            "the deadline passed after 0.20 s",
            id="a deadline too early",
        ),
        pytest.param(
            HURRIED,
            _failed(504, "timeout_error", "deadline_passed", seconds=1.6),
            "took 1.60 s",
            id="a deadline too late",
        ),
        pytest.param(
            replace(HURRIED, way="gRPC"),
            Came(code="DEADLINE_EXCEEDED", seconds=0.3),
            "neither an end nor an error",
            id="a gRPC deadline too early",
        ),
        pytest.param(REST, Came(fault="hangs"), "hangs", id="what a caller met"),
        pytest.param(
            LEAVING, _came(PART + PART, done=False, left=True), "text of nobody", id="before leaving, too"
        ),
    ],
)
def test_an_illegal_end_is_seen(ask: Ask, came: Came, reason: str) -> None:
    assert judge(ask, came).outcome == "illegal"
    assert reason in judge(ask, came).illegal
