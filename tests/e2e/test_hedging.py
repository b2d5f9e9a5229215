"""A second provider is started where the first says nothing; who has content first wins, the other ends."""

from collections.abc import Callable

import pytest

from tests.calls import TIMEOUT, body, over_grpc, rest
from tests.programs import wait_until
from tests.service import Service
from tests.upstream import TEXT, Upstream

Play = Callable[..., None]
kinds = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


@kinds
@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_the_first_content_wins_and_the_other_call_is_ended(
    resilient: Service, upstream: Upstream, way: str, stream: bool
) -> None:
    before = upstream.open
    if way == "rest":
        outcome = rest(resilient, body("Patient A", stream=stream, hedge={"delay": 0.05}))
    else:
        outcome = over_grpc(resilient, "Patient A", stream=stream, hedge={"delay": 0.05})
    assert (outcome.text, outcome.provider) == (TEXT, "A")
    told = outcome.chunks[0]["routing"]["attempts"]
    assert [(one["provider"], one.get("cause", "")) for one in told] == [
        ("Patient", "cancelled"),
        ("A", ""),
    ]
    wait_until(lambda: upstream.open <= before, lambda: "the slow call goes on")


def test_a_fast_first_provider_is_asked_alone(resilient: Service, upstream: Upstream) -> None:
    before = len(upstream.seen)
    assert rest(resilient, body("A B", hedge={"delay": 5})).provider == "A"
    assert len(upstream.seen) == before + 1


def test_a_first_provider_that_fails_before_the_delay_is_followed_at_once(
    resilient: Service, play: Play
) -> None:
    play("A", "500")
    outcome = rest(resilient, body("A B", hedge={"delay": 60}, timeout=TIMEOUT))
    assert outcome.provider == "B"


def test_where_both_fail_the_next_is_asked(resilient: Service, play: Play) -> None:
    play("A", "500")
    play("B", "html")
    limits = {"first_content": 0.3}
    asked = body("Patient A B C", stream=True, hedge={"delay": 0.05}, time_limits=limits)
    assert rest(resilient, asked).provider == "C"


def test_without_an_observed_latency_none_is_started(resilient: Service, upstream: Upstream) -> None:
    before = len(upstream.seen)
    outcome = rest(resilient, body("Patient A", hedge={}, timeout=0.3))
    assert outcome.code == 504
    assert [seen.script for seen in upstream.seen[before:]] == ["silent"]


def test_both_end_at_the_deadline(resilient: Service, upstream: Upstream) -> None:
    before = upstream.open
    outcome = rest(resilient, body("Patient Half", hedge={"delay": 0.05}, timeout=0.3))
    assert outcome.code == 504
    assert {one["provider"] for one in outcome.error["attempts"]} == {"Patient", "Half"}
    wait_until(lambda: upstream.open <= before, lambda: "a call goes on")


def test_a_second_that_calls_the_request_wrong_does_not_end_the_first(
    resilient: Service, play: Play, upstream: Upstream
) -> None:
    play("A", "late")
    play("B", "400")
    outcome = rest(resilient, body("A B", stream=True, hedge={"delay": 0}))
    assert (outcome.code, outcome.provider) == (200, "A")
    play("B", "400")
    before = upstream.open
    outcome = rest(resilient, body("Patient B", hedge={"delay": 0.05}, timeout=0.4))
    assert (outcome.code, outcome.error["error"]["code"]) == (400, "c400")
    wait_until(lambda: upstream.open <= before, lambda: "a call goes on")


def test_no_more_than_a_share_of_the_calls_hedge(resilient: Service, upstream: Upstream) -> None:
    """A tenth of them, beyond the ten that each worker has at first."""
    before, calls = len(upstream.seen), 60
    for _ in range(calls):
        over_grpc(resilient, "Slow B", stream=False, address=resilient.worker, hedge={"delay": 0})
    asked = [seen.body["model"] for seen in upstream.seen[before:]]
    assert 1 <= asked.count("m-B") <= 10 + calls // 10


@kinds
def test_without_a_figure_the_observed_latency_is_the_delay(
    resilient: Service, play: Play, stream: bool
) -> None:
    other = f"127.0.0.1:{resilient.worker_ports[1]}"  # whose share is not used up
    for _ in range(3):
        assert over_grpc(resilient, "C", stream=stream, address=other).provider == "C"
    play("C", "silent")
    asked = over_grpc(resilient, "C A", stream=stream, address=other, hedge={}, timeout=TIMEOUT)
    assert (asked.text, asked.provider) == (TEXT, "A")
