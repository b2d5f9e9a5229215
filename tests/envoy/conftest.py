"""One worker and one Envoy for all tests of the edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.envoy.real_envoy import Edge, running
from tests.envoy.stub_worker import Calls, StubWorker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def worker() -> Iterator[StubWorker]:
    stub = StubWorker()
    stub.start()
    try:
        yield stub
    finally:
        stub.stop()


@pytest.fixture(scope="session")
def edge(worker: StubWorker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    folder = tmp_path_factory.mktemp("envoy")
    with running(folder, worker.port, max_body_bytes=2_000_000) as envoy:
        yield envoy
    # Envoy writes here when a script of its own fails; then it goes on as if there were none.
    assert "script log" not in (folder / "envoy.log").read_text(encoding="utf-8")


@pytest.fixture
def calls(worker: StubWorker) -> Calls:
    """What the worker gets from now on."""
    worker.calls.clear()
    return worker.calls
