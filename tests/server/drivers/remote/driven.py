"""The driver over a real channel to a plug-in in the test's own event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from interference.v1.chat_pb2 import CreateCompletionRequest
from server.drivers.base import Target
from server.drivers.remote.driver import RemoteDriver
from server.rows import Limits, Row
from tests.plugin import Plugin

KEY = "key-of-ours-0123456789"
LIMIT = 2**20  # bytes of an answer
LATE = 10.0  # seconds after which a test fails


@dataclass(frozen=True)
class Driven:
    """A driver, and where it asks."""

    driver: RemoteDriver
    row: Row

    def target(self, model: str = "ok", **fields: Any) -> Target:
        """Where an attempt goes that is to do what the script does."""
        return Target(self.row, model, **{"key": KEY, **fields})

    async def ask(self, model: str = "ok", *, stream: bool = False, **fields: Any) -> list[Any]:
        """Asks, and gives the answer, or its chunks."""
        request, target = asked(), self.target(model, **fields)
        async with asyncio.timeout(LATE):
            if not stream:
                return [await self.driver.answer(request, target)]
            return [chunk async for chunk in self.driver.stream(request, target)]


@asynccontextmanager
async def driving(base_url: str, **fields: Any) -> AsyncIterator[Driven]:
    """A driver for a row with this address."""
    driver = RemoteDriver(LIMIT)
    row = Row(
        **{"id": "Plug", "driver": "grpc", "base_url": base_url, "limits": Limits(connect=2), **fields}
    )
    try:
        yield Driven(driver, row)
    finally:
        await driver.close()


@asynccontextmanager
async def driven(plugin: Plugin, **fields: Any) -> AsyncIterator[Driven]:
    """A driver, and the plug-in that it asks."""
    async with plugin.serving() as address, driving(f"grpc://{address}", **fields) as made:
        yield made


async def until(holds: Callable[[], bool]) -> None:
    """Waits until a condition holds."""
    async with asyncio.timeout(LATE):
        while not holds():  # noqa: ASYNC110 - of another process, or of gRPC's own threads
            await asyncio.sleep(0.01)


def asked(**fields: Any) -> CreateCompletionRequest:
    """A conversation."""
    messages: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
    return CreateCompletionRequest(**{"model": "public", "messages": messages, **fields})
