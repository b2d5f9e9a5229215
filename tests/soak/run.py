"""One soak from start to end: the upstream, the service, a warm-up, the load, and the gauges around it."""

import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
import yaml

from tests.service import Service, serving
from tests.soak import servicelog, watch
from tests.soak.callers import connected
from tests.soak.catalog import catalog
from tests.soak.gauges import Check
from tests.soak.judge import LEFT_EARLY
from tests.soak.load import Load, Tally
from tests.soak.load import run as run_load
from tests.soak.watch import Watch

_WARM_UP = 0.1  # of the load, before the gauges are read first
_MOST_WARM_UP = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. `requests` many where that is given, `seconds` long otherwise."""

    seed: str
    seconds: float
    requests: int | None
    callers: int
    workers: int
    share: float  # of bad answers
    quick: bool  # whether idle connections may stay


@dataclass
class Found:
    """What a soak has found, its warm-up included."""

    tally: Tally
    checks: list[Check]
    drawn: dict[str, int] = field(default_factory=dict)  # answers by their fault
    log: list[str] = field(default_factory=list)  # lines of the log that must not be there

    @property
    def passed(self) -> bool:
        """Whether all was as it must be."""
        return not self.tally.failures and all(check.passed for check in self.checks) and not self.log


def new_seed() -> str:
    """A seed that nobody has used."""
    return secrets.token_hex(4)


def soak(plan: Plan, folder: Path) -> Found:
    """Runs a soak in a folder for the service's files."""
    with watch.upstream(plan.seed, plan.share) as ports:
        (folder / "soak.yaml").write_text(yaml.safe_dump(catalog(ports)))
        settings: dict[str, Any] = {"workers": plan.workers}
        with serving(folder, providers="soak.yaml", **settings) as service:
            found = uvloop.run(_phases(plan, service, ports))
    with (folder / "service.log").open(encoding="utf-8", errors="replace") as lines:
        log = servicelog.read(lines, [illegal.ask.prompt.request for illegal in found.tally.illegal])
    for illegal in found.tally.illegal:
        illegal.log = log.wanted.get(illegal.ask.prompt.request, [])
    found.log = log.wrong
    found.checks += _logged(found.tally, log)
    return found


def _logged(tally: Tally, log: servicelog.Log) -> Iterator[Check]:
    # Who leaves within a moment may not have been heard at all.
    missing, unheard = tally.requests - len(log.calls), tally.count(LEFT_EARLY)
    yield Check("calls without a line in the log", 0, missing, unheard)
    yield Check("calls with several", 0, sum(lines > 1 for lines in log.calls.values()), 0)


async def _phases(plan: Plan, service: Service, ports: dict[str, int]) -> Found:
    tally, numbers = Tally(), itertools.count(1)
    load = Load(plan.seed, plan.callers, plan.seconds, plan.requests)
    warm_up = Load(
        plan.seed,
        plan.callers,
        min(_WARM_UP * plan.seconds, _MOST_WARM_UP),
        None if plan.requests is None else plan.requests // 2,
    )
    async with aiohttp.ClientSession() as session:
        watching = Watch(service, ports, session, plan.quick)
        async with connected(service) as callers:
            await run_load(warm_up, callers, numbers, tally, watching.met)
        await watching.ended()
        start, _ = await watching.settled({})
        async with connected(service) as callers:
            await run_load(load, callers, numbers, tally, watching.met)
        ended = await watching.ended()
        _, settled = await watching.settled(start)
        drawn = (await watching.told())["drawn"]
    return Found(tally, [*ended, *settled], drawn)
