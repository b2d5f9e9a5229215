"""So many calls at a time, by provider and by worker; the rest is told to come again, soon."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.message_pb2 import ChatMessage, ContentPart
from tests.calls import TIMEOUT, body, over_grpc, rest
from tests.conftest import CALM
from tests.programs import wait_until
from tests.service import Service, row, serving
from tests.upstream import Upstream

if TYPE_CHECKING:
    from pathlib import Path

MESSAGES = [ChatMessage(role="user", content=[ContentPart(text="Hi")])]


@contextmanager
def hanging(address: str, provider: str, upstream: Upstream, number: int) -> Iterator[None]:
    """So many calls that a provider is answering."""
    before = upstream.open
    request = CreateCompletionRequest(model="m", providers=[provider], messages=MESSAGES)
    with grpc.insecure_channel(address) as channel:
        calls = [ChatStub(channel).CreateCompletion.future(request) for _ in range(number)]
        try:
            wait_until(lambda: upstream.open == before + number, lambda: f"{upstream.open - before} run")
            yield
        finally:
            for call in calls:
                call.cancel()
            wait_until(lambda: upstream.open == before, lambda: "they go on")


def test_a_provider_at_its_bound_is_passed_over_after_a_short_wait(
    resilient: Service, upstream: Upstream
) -> None:
    with hanging(resilient.worker, "Narrow", upstream, 1):
        outcome = over_grpc(resilient, "Narrow A", stream=False, address=resilient.worker)
        assert outcome.provider == "A"
        alone = over_grpc(resilient, "Narrow", stream=False, address=resilient.worker)
    assert alone.code == "RESOURCE_EXHAUSTED"
    assert alone.error["error"]["code"] == "overloaded"
    assert alone.error["attempts"][0]["cause"] == "overloaded"


def test_one_whose_turn_comes_in_time_is_answered(resilient: Service, upstream: Upstream) -> None:
    outcomes: list[Any] = []

    def ask() -> None:
        outcomes.append(over_grpc(resilient, "Narrow", stream=False, address=resilient.worker, timeout=0.6))

    with hanging(resilient.worker, "Narrow", upstream, 1):
        before = len(upstream.seen)
        asking = threading.Thread(target=ask)
        asking.start()
    asking.join(TIMEOUT)
    assert len(upstream.seen) == before + 1  # it was asked once its turn had come
    assert outcomes[0].error["attempts"][0]["cause"] == "timed_out"


@pytest.fixture(scope="module")
def small(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One worker that takes two calls at a time and lets one wait."""
    folder: Path = tmp_path_factory.mktemp("small")
    rows = [row("silent", f"{upstream.url}/silent/v1", **CALM), row("ok", f"{upstream.url}/ok/v1", **CALM)]
    load = {"max_calls": 2, "max_queued": 1, "queue_wait": 0.2}
    with serving(folder, rows, workers=1, load=load) as running:
        yield running


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_a_full_worker_says_so_at_once_and_when_to_return(
    small: Service, upstream: Upstream, stream: bool
) -> None:
    with hanging(small.worker, "silent", upstream, 2):
        outcome = rest(small, body("ok", stream=stream))
        assert (outcome.code, outcome.headers["retry-after"]) == (429, "1")
        assert (outcome.error["error"]["type"], outcome.error["error"]["code"]) == (
            "rate_limit_error",
            "overloaded",
        )
        refused = over_grpc(small, "ok", stream=stream)
        assert (refused.code, refused.error["error"]["code"]) == ("RESOURCE_EXHAUSTED", "overloaded")
    assert rest(small, body("ok", stream=stream)).code == 200


def test_the_deadline_ends_the_wait_for_a_turn(small: Service, upstream: Upstream) -> None:
    with hanging(small.worker, "silent", upstream, 2):
        outcome = rest(small, body("ok", timeout=0.05))
    assert outcome.code == 504
