"""What one worker finds out about a provider holds for all workers of the host, within a second."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.providers_pb2 import GetProviderRequest, Health, WatchProvidersRequest
from interference.v1.providers_pb2_grpc import ProvidersStub
from tests.calls import TIMEOUT
from tests.load import WORKER, chat, processes
from tests.programs import wait_until
from tests.service import Service, row, serving
from tests.upstream import RETRY_AFTER, Upstream

BRIEFLY = 3.0  # seconds, in which nobody waits for as long as a 429 asks
SOON = 1.0  # seconds in which all must agree
FAILURES = 2  # after which a provider is left alone
LONG = {"failures": FAILURES, "cool_down": 60}
BRIEF = {"failures": FAILURES, "cool_down": 1}
ROWS = {"500": LONG, "429": LONG, "401": LONG, "502": BRIEF}


@pytest.fixture(scope="module")
def pair(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of two workers, and providers whose script is their name."""
    rows = [row(name, f"{upstream.url}/{name}/v1", breaker=breaker) for name, breaker in ROWS.items()]
    rows.append(row("killed", f"{upstream.url}/500/v1", breaker=LONG))
    with serving(tmp_path_factory.mktemp("pair"), rows) as service:
        yield service


@pytest_asyncio.fixture
async def one(pair: Service) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the first worker."""
    async with _channel(pair.worker_ports[0]) as channel:
        yield channel


@pytest_asyncio.fixture
async def two(pair: Service) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the second worker."""
    async with _channel(pair.worker_ports[1]) as channel:
        yield channel


@asynccontextmanager
async def _channel(port: int) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel


async def _fail(channel: grpc.aio.Channel, provider: str) -> str:
    """Asks, and gives the text of the error."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ChatStub(channel).CreateCompletion(chat(provider), timeout=BRIEFLY, wait_for_ready=True)
    return str(caught.value.details())


async def _health(channel: grpc.aio.Channel, provider: str, model: str = "m") -> Health:
    """The health of a provider's model, by a worker's own word."""
    details = await ProvidersStub(channel).GetProvider(GetProviderRequest(provider=provider))
    [health] = [health for health in details.health if health.model == model]
    return health


async def _told(channel: grpc.aio.Channel, provider: str, model: str, state: str) -> Health:
    """Watches until a worker says so."""
    watching = ProvidersStub(channel).WatchProviders(
        WatchProvidersRequest(), timeout=TIMEOUT, wait_for_ready=True
    )
    async for news in watching:
        for health in news.health:
            if (health.provider, health.model, health.state) == (provider, model, state):
                watching.cancel()
                return health
    raise AssertionError("it ended without a word")


@pytest.mark.parametrize(
    ("provider", "times", "model", "state"),
    [
        pytest.param("500", FAILURES, "m", "open", id="it fails"),
        pytest.param("429", 1, "", "limited", id="it asks us to wait"),
        pytest.param("401", 1, "", "disabled", id="it refuses the key"),
    ],
)
async def test_what_one_worker_finds_out_the_other_goes_by(
    one: grpc.aio.Channel,
    two: grpc.aio.Channel,
    upstream: Upstream,
    provider: str,
    times: int,
    model: str,
    state: str,
) -> None:
    telling = asyncio.create_task(_told(two, provider, model, state))
    for _ in range(times):
        await _fail(one, provider)
    found = time.monotonic()
    await telling
    assert time.monotonic() - found < SOON

    mine, other = await _health(one, provider, model), await _health(two, provider, model)
    assert (mine.state, mine.reason) == (other.state, other.reason) == (state, mine.reason)
    assert abs(mine.retry_in - other.retry_in) < SOON
    if state == "limited":
        assert RETRY_AFTER - SOON < other.retry_in <= RETRY_AFTER
    asked = len(upstream.seen)
    await _fail(two, provider)
    assert len(upstream.seen) == asked


async def test_one_request_of_all_workers_finds_out(
    one: grpc.aio.Channel, two: grpc.aio.Channel, upstream: Upstream
) -> None:
    for _ in range(FAILURES):
        await _fail(one, "502")
    await _told(two, "502", "m", "open")
    await asyncio.sleep((await _health(two, "502")).retry_in)
    asked = len(upstream.seen)
    await asyncio.gather(*(_fail(channel, "502") for channel in (one, two) for _ in range(10)))
    assert len(upstream.seen) == asked + 1
    assert (await _health(one, "502")).state == "open"


async def test_a_worker_that_is_started_anew_knows_it_all(pair: Service, one: grpc.aio.Channel) -> None:
    for _ in range(FAILURES):
        await _fail(one, "killed")
    [*_, victim] = sorted(_workers(pair))
    os.kill(victim, signal.SIGKILL)
    await asyncio.to_thread(
        wait_until, lambda: len(_workers(pair) - {victim}) == 2, lambda: pair.program.said, TIMEOUT
    )
    for port in pair.worker_ports:
        async with _channel(port) as channel:
            await _told(channel, "killed", "m", "open")


def _workers(service: Service) -> set[int]:
    return processes(service, WORKER)
