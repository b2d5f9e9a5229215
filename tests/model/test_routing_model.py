"""Random providers, faults, deadlines and departures, played against a worker and held against the
reference model of its semantics.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings

from interference.v1.providers_pb2 import GetProviderRequest
from interference.v1.providers_pb2_grpc import ProvidersStub
from server import app
from server.config import Load, Media, Secrets, Settings
from server.control import Order
from server.routes import Catalog
from server.routing.health import Alone
from server.rows import Breaker, Limits, Retry, Row, merge
from tests.model import caller
from tests.model.checks import key
from tests.model.judge import Judge
from tests.model.scripts import (
    BASE,
    COOL_DOWN,
    FIRST_CONTENT,
    IDLE,
    LONGEST,
    MODELS,
    TOTAL,
    Provider,
    Script,
    Wait,
    scripts,
)
from tests.model.told import SCRIPTS
from tests.model.upstream import Upstream, upstream

# 16, and more by another profile: `pytest tests/model --hypothesis-profile=long`.
_EXAMPLES = settings().max_examples // 6
_GONE = 1.0  # seconds after its end in which a call's requests must be


@dataclass
class Stage:
    """Where scripts are played."""

    folder: Path
    runner: asyncio.Runner


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One event loop for all."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield Stage(tmp_path_factory.mktemp("model"), runner)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_ends_as_the_reference_says(stage: Stage, script: Script) -> None:
    stage.runner.run(_play(stage, script))


@settings(deadline=None, max_examples=_EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(script=scripts)
def test_any_script_ends_as_the_reference_says(stage: Stage, script: Script) -> None:
    stage.runner.run(_play(stage, script))


async def _play(stage: Stage, script: Script) -> None:
    before = asyncio.all_tasks()
    async with upstream(provider.id for provider in script.fleet) as providers:
        rows = {provider.id: _row(provider, providers.ports[provider.id]) for provider in script.fleet}
        secrets = Secrets({f"KEY_{one.id}": key(one.id) for one in script.fleet if one.keyed})
        values = Settings(
            media=Media(dir=str(stage.folder)), load=Load(hedge_share=1), log_calls=False, port=0
        )
        async with (
            app.worker(Order(values, Catalog(merge({}, rows, "model")), 0), secrets, Alone()) as worker,
            grpc.aio.insecure_channel(f"127.0.0.1:{worker.port}") as channel,
        ):
            await _steps(script, providers, channel)
    left = asyncio.all_tasks() - before
    assert not left, f"tasks are left: {left}"


async def _steps(script: Script, providers: Upstream, channel: grpc.aio.Channel) -> None:
    judge, details = Judge(script.fleet), ProvidersStub(channel)
    for step in script.steps:
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
            continue
        await providers.play(step.plays)
        outcome = await caller.call(channel, step)
        await _gone(providers)
        judge.call(step, outcome, providers.seen)
        for provider in script.fleet:
            judge.details(await details.GetProvider(GetProviderRequest(provider=provider.id)))


async def _gone(providers: Upstream) -> None:
    """Waits until nothing is asked any more."""
    clock = asyncio.get_running_loop().time
    began = clock()
    while providers.running:
        assert clock() < began + _GONE, f"requests are left: {providers.running}"
        await asyncio.sleep(0.002)


def _row(provider: Provider, port: int) -> Row:
    return Row(
        id=provider.id,
        driver="openai",
        base_url=f"http://127.0.0.1:{port}/v1",
        key_env=f"KEY_{provider.id}",
        models=MODELS,
        priority=provider.priority,
        limits=Limits(connect=1, first_content=FIRST_CONTENT, idle=IDLE, total=TOTAL),
        retry=Retry(times=provider.times, base=BASE, longest=1, budget=1),
        breaker=Breaker(
            enabled=provider.breaker,
            failures=provider.failures,
            least=provider.least,
            cool_down=COOL_DOWN,
            longest=LONGEST,
        ),
    )
