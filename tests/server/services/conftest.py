"""The scripted upstream, and a server in front of it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.server.services.serving import STANDS, Served, served
from tests.upstream import Upstream, scripted_upstream


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """Serves its scripts for all tests here."""
    with scripted_upstream() as upstream:
        yield upstream


@pytest.fixture
async def server(upstream: Upstream) -> AsyncIterator[Served]:
    """Asks for no key."""
    STANDS.clear()
    async with served(upstream) as server:
        yield server
