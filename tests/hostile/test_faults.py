"""Each fault of the table, at each stage: what callers see of it, over REST and over gRPC."""

from collections.abc import Mapping
from itertools import groupby

import pytest

from tests.calls import Outcome
from tests.hostile.answers import GOOD, POISON
from tests.hostile.conftest import KEY
from tests.hostile.plays import WAYS, Play, Seen
from tests.hostile.table import CASES, CONNECT, FIRST_CONTENT, IDLE, TOTAL, Case

pytestmark = [
    pytest.mark.parametrize("way", WAYS),
    pytest.mark.parametrize("case", [pytest.param(case, id=str(case)) for case in CASES]),
]
_SLACK = 5.0  # seconds: two busy cores, and callers who read a flood to its end


def test_what_is_seen_of_the_faulty_provider_alone(
    played: Mapping[Play, Seen], case: Case, way: str
) -> None:
    seen = played[Play(case, way, good_next=False)]
    outcome = read(seen)
    if case.whole:
        check_whole(outcome, case, way)
    else:
        check_failed(outcome, case, way)
    assert who_was_asked(seen) == [case.fault] * reaches(case)
    assert seen.seconds < case.longest + _SLACK


def test_what_is_seen_where_a_good_provider_is_next(
    played: Mapping[Play, Seen], case: Case, way: str
) -> None:
    seen = played[Play(case, way, good_next=True)]
    outcome = read(seen)
    if case.whole:
        check_whole(outcome, case, way)
    elif case.text or "refused" in case.causes:
        check_failed(outcome, case, way)
    else:
        check_good(outcome, case, way)
        assert who_was_asked(seen) == [case.fault] * reaches(case) + ["good"]
        return
    assert who_was_asked(seen) == [case.fault]
    assert seen.seconds < case.longest + _SLACK


def read(seen: Seen) -> Outcome:
    """What the caller could read; nothing of it is a secret, or for somebody else."""
    if isinstance(seen.outcome, Exception):
        raise seen.outcome
    told = repr(seen.outcome)
    assert KEY not in told
    assert POISON not in told
    assert not [name for name, value in seen.outcome.headers.items() if "evil" in value]
    return seen.outcome


def check_whole(outcome: Outcome, case: Case, way: str) -> None:
    assert (outcome.text, outcome.provider, outcome.error) == (case.text, case.provider, {})
    check_end(outcome, case, way)
    assert attempts(outcome.chunks[0]["routing"]) == [(case.provider, "")]


def check_good(outcome: Outcome, case: Case, way: str) -> None:
    assert (outcome.text, outcome.provider, outcome.error) == (GOOD, "good", {})
    check_end(outcome, case, way)
    (failed, cause), *others = attempts(outcome.chunks[0]["routing"])
    assert failed == case.provider
    assert cause in case.causes
    assert others == [("good", "")]


def check_end(outcome: Outcome, case: Case, way: str) -> None:
    """An answer has ended as it must."""
    streamed = case.kind == "stream"
    assert outcome.code == (200 if way == "rest" else "OK")
    assert outcome.done == (streamed and way == "rest")
    reasons = [
        choice["finish_reason"]
        for chunk in outcome.chunks
        for choice in chunk.get("choices", ())
        if choice.get("finish_reason")
    ]
    assert reasons == ["stop"]


def check_failed(outcome: Outcome, case: Case, way: str) -> None:
    ((failed, cause),) = attempts(outcome.error)
    assert failed == case.provider
    assert cause in case.causes
    told = case.told(cause)
    assert outcome.code == (told.http if way == "rest" else told.grpc)
    error = outcome.error["error"]
    assert (error["type"], error["code"]) == (told.type, told.code)
    assert case.provider in error["message"]
    assert outcome.error["provider"] == case.provider
    assert (outcome.text, outcome.done) == (case.text, False)
    if cause == "timed_out":
        check_time(outcome.error["attempts"][0]["duration_ms"] / 1000, case)


def check_time(seconds: float, case: Case) -> None:
    """An attempt that timed out did so at a limit of its provider."""
    limits = {"stream": (CONNECT, FIRST_CONTENT, IDLE, TOTAL), "whole": (CONNECT, TOTAL)}[case.kind]
    assert any(limit - 0.05 <= seconds <= limit + _SLACK for limit in limits)


def attempts(told: dict[str, list[dict[str, str]]]) -> list[tuple[str, str]]:
    return [(attempt["provider"], attempt.get("cause", "")) for attempt in told["attempts"]]


def who_was_asked(seen: Seen) -> list[str]:
    """Who got the request, in order. A kept connection that ends at once lets it be sent once more."""
    return [fault for fault, _ in groupby(seen.asked)]


def reaches(case: Case) -> bool:
    """Whether the request is ever read."""
    return case.stage != "connect"
