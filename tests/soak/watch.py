"""Watches a soak from outside: what the upstream says of itself, and what the service's processes hold."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from tests.service import Service
from tests.soak import gauges
from tests.soak.gauges import Check, Gauge

# Seconds until nothing runs upstream any more: a whole answer may wait a while for the end of its stream.
_ENDED = 2.5
# Seconds until everything else is back: every 15 s the HTTP client closes what was idle for as long.
_SETTLED = 35.0


@contextmanager
def upstream(seed: str, share: float) -> Iterator[dict[str, int]]:
    """Runs the upstream; gives its ports by provider."""
    command = [sys.executable, "-m", "tests.soak.upstream", seed, str(share)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield msgspec.json.decode(process.stdout.readline(), type=dict[str, int])
        finally:
            process.terminate()


@dataclass(frozen=True, slots=True)
class Watch:
    """Watches a service and an upstream. `quick`: connections that are idle upstream may stay."""

    service: Service
    ports: Mapping[str, int]
    session: aiohttp.ClientSession
    quick: bool

    async def told(self, path: str = "") -> Any:
        """The upstream's word."""
        async with self.session.get(f"http://127.0.0.1:{self.ports['']}/{path}") as answer:
            return msgspec.json.decode(await answer.read())

    async def met(self, number: int) -> list[str]:
        """Which answers a request of late has met."""
        return msgspec.convert(await self.told(str(number)), list[str])

    async def ended(self) -> list[Check]:
        """Waits until nothing runs upstream any more."""
        began = time.monotonic()
        while True:
            running, took = (await self.told())["running"], time.monotonic() - began
            if not running or took > _ENDED:
                break
            await asyncio.sleep(0.02)
        return [
            Check("requests that still run upstream", 0, running, 0),
            Check("seconds until none did", 0, took, _ENDED),
        ]

    async def settled(self, start: Mapping[str, Gauge]) -> tuple[dict[str, Gauge], list[Check]]:
        """The gauges and how they compare, as soon as they are within their bounds, or after a while."""
        deadline = time.monotonic() + _SETTLED
        while True:
            now, checks = await self._compared(start)
            if all(check.passed for check in checks) or time.monotonic() > deadline:
                return now, checks
            await asyncio.sleep(0.2)

    async def _compared(self, start: Mapping[str, Gauge]) -> tuple[dict[str, Gauge], list[Check]]:
        idle = (await self.told())["connections"] if self.quick else 0
        ports = frozenset(port for provider, port in self.ports.items() if provider)
        now = await asyncio.to_thread(gauges.read, self.service, ports)
        return now, list(gauges.checks(start or now, now, idle))
