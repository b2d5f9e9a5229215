"""A service whose providers are the faults at their stages, and the table's cases played against it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from tests.calls import over_grpc
from tests.hostile.plays import WAYS, Play, Seen, ask, play_all
from tests.hostile.table import CASES, LIMITS, Case
from tests.hostile.upstream import Hostile, hostile_upstream
from tests.hostile.workers import PROBE, Workers, workers
from tests.service import Service, row, serving

KEY = "hostile-key-0123456789"
_MORE: dict[str, Any] = {
    "key_env": "HOSTILE_KEY",
    "priority": 500,
    "limits": LIMITS,
    "breaker": {"enabled": False},
    "retry": {"times": 0},
}


@dataclass(frozen=True)
class Before:
    """What the service was before the table was played."""

    pids: frozenset[int]
    held: Counter[str]
    files: int
    memory: int


@pytest.fixture(scope="session")
def hostile() -> Iterator[Hostile]:
    """The hostile upstream."""
    with hostile_upstream() as running:
        yield running


@pytest.fixture(scope="session")
def besieged(hostile: Hostile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service. Providers are named after their fault and its stage; `good` has none."""
    rows = [row("good", f"{hostile.url}/good/-/v1", **_MORE)]
    faults = sorted({(case.fault, case.stage) for case in CASES})
    rows += [row(f"{fault}.{stage}", hostile.address(fault, stage), **_MORE) for fault, stage in faults]
    folder = tmp_path_factory.mktemp("h")
    variables = {"HOSTILE_KEY": KEY, "PYTHONPATH": str(PROBE), "INTERFERENCE_PROBE": str(folder)}
    with serving(folder, rows, variables, max_answer_bytes=24 * 2**20) as running:
        yield running
        said = running.program.said
        assert "Traceback" not in said, said


@pytest.fixture(scope="session")
def held(besieged: Service) -> Workers:
    """The workers."""
    found = workers(besieged, besieged.program.log.parent)
    assert len(found.processes) == len(besieged.worker_ports)
    return found


@pytest.fixture(scope="session")
def before(besieged: Service, hostile: Hostile, held: Workers) -> Before:
    """What the service was when each worker had answered, and nothing was asked any more."""
    for port, stream in product(besieged.worker_ports, (False, True)):
        over_grpc(besieged, "good", stream=stream, address=f"127.0.0.1:{port}")
    for way, stream in product(WAYS, (False, True)):
        ask(besieged, way, "good", stream=stream)
    hostile.settled(lambda: held.connections(hostile.ports))
    pids = frozenset(besieged.program.descendants())
    return Before(pids, held.held(), held.files(), held.memory())


@pytest.fixture(scope="session")
def played(request: pytest.FixtureRequest, besieged: Service, hostile: Hostile) -> Mapping[Play, Seen]:
    """What callers saw of the cases that the tests of this run ask for, or of all."""
    request.getfixturevalue("before")  # measured first
    parameters = [getattr(item, "callspec", None) for item in request.session.items]
    asked = [each.params.get("case") for each in parameters if each]
    wanted = [case for case in asked if isinstance(case, Case)]  # other tests have cases of their own
    return play_all(besieged, hostile, dict.fromkeys(wanted or CASES))
