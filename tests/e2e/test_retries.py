"""A provider is asked once more where that is worth it, then the next one is."""

from collections.abc import Callable

import pytest

from tests.calls import ask, attempts, over_grpc
from tests.service import Service
from tests.upstream import TEXT, Upstream

Play = Callable[..., None]
ways = pytest.mark.parametrize("way", ["rest", "grpc"])
kinds = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


@ways
@kinds
def test_one_that_says_when_to_return_soon_is_asked_again(
    resilient: Service, play: Play, way: str, stream: bool
) -> None:
    play("A", "429/0.1", "503/0.1")
    outcome = ask(resilient, way, "A B", stream=stream)
    assert (outcome.text, outcome.provider) == (TEXT, "A")
    assert attempts(outcome) == [("A", "rate_limited"), ("A", "server_error"), ("A", "")]


@ways
def test_one_that_wants_a_long_wait_is_not_waited_for_while_there_is_another(
    resilient: Service, play: Play, way: str
) -> None:
    play("A", "429/7")
    outcome = ask(resilient, way, "A B", timeout=20)
    assert attempts(outcome) == [("A", "rate_limited"), ("B", "")]


@ways
def test_the_last_one_is_waited_for_within_the_deadline(resilient: Service, play: Play, way: str) -> None:
    play("A", "429/1.2")
    outcome = ask(resilient, way, "A", timeout=20)
    assert attempts(outcome) == [("A", "rate_limited"), ("A", "")]


@ways
def test_the_last_one_is_not_waited_for_beyond_the_deadline(
    resilient: Service, play: Play, way: str
) -> None:
    play("A", "429/7")
    outcome = ask(resilient, way, "A", timeout=5)
    assert outcome.code in (429, "RESOURCE_EXHAUSTED")
    assert attempts(outcome) == [("A", "rate_limited")]


@ways
def test_a_connection_that_cannot_be_made_is_tried_again(resilient: Service, way: str) -> None:
    outcome = ask(resilient, way, "Absent B")
    assert attempts(outcome) == [("Absent", "connect_failed")] * 3 + [("B", "")]


@ways
@pytest.mark.parametrize("script", ["500", "503", "429", "html", "garbage"])
def test_what_may_have_been_done_already_is_not_tried_again(
    resilient: Service, upstream: Upstream, play: Play, way: str, script: str
) -> None:
    play("A", script)
    before = len(upstream.seen)
    assert ask(resilient, way, "A B").provider == "B"
    assert [seen.body["model"] for seen in upstream.seen[before:]] == ["m-A", "m-B"]


@ways
def test_a_request_that_is_wrong_is_tried_once(
    resilient: Service, upstream: Upstream, play: Play, way: str
) -> None:
    play("A", "400")
    before = len(upstream.seen)
    assert ask(resilient, way, "A B").code in (400, "INVALID_ARGUMENT")
    assert len(upstream.seen) == before + 1


def test_retries_do_not_multiply_an_outage(resilient: Service, upstream: Upstream, play: Play) -> None:
    """A fifth of the requests at most is added, beyond the ten that each worker has at first."""
    play("C", *["503/0"] * 200)
    before, requests = len(upstream.seen), 40
    for _ in range(requests):
        outcome = over_grpc(resilient, "C", stream=False, address=resilient.worker)
        assert outcome.code == "UNAVAILABLE"
    assert requests < len(upstream.seen) - before <= requests + 10 + requests // 5
