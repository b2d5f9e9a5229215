"""After all faults have been played nothing of them is left, and answers go to those who asked for them."""

from collections.abc import Mapping

import pytest

from tests.calls import over_grpc
from tests.hostile.answers import GOOD
from tests.hostile.conftest import KEY, Before
from tests.hostile.plays import Play, Seen
from tests.hostile.upstream import Hostile
from tests.hostile.workers import Workers
from tests.programs import wait_until
from tests.service import Service

_MIB = 2**20
_ENVOYS = 2  # connections more to each worker that Envoy may keep
_RUINOUS = ("Traceback", "never retrieved", "never awaited", "was destroyed", "ended by", "exited")


@pytest.fixture(autouse=True)
def after(played: Mapping[Play, Seen]) -> None:
    """The table has been played."""
    assert played


def test_no_socket_is_left(hostile: Hostile, held: Workers, before: Before) -> None:
    hostile.settled(lambda: held.connections(hostile.ports))
    most = before.files + _ENVOYS * len(held.processes)
    wait_until(lambda: held.files() <= most, lambda: f"{held.files()} of {most} files")


def test_no_task_is_left(hostile: Hostile, held: Workers, before: Before) -> None:
    hostile.settled(lambda: held.connections(hostile.ports))
    wait_until(lambda: not held.held() - before.held, lambda: f"left: {held.held() - before.held}")


def test_no_process_has_ended(besieged: Service, before: Before) -> None:
    assert before.pids == set(besieged.program.descendants())


def test_memory_stays_within_bounds(held: Workers, before: Before) -> None:
    grown = held.memory() - before.memory
    assert grown < 400 * _MIB, f"a worker grew by {grown / _MIB:.0f} MiB at its peak"


def test_the_log_tells_of_no_defect_and_no_key(besieged: Service) -> None:
    said = besieged.program.said
    assert KEY not in said
    assert not [line for line in said.splitlines() if any(word in line for word in _RUINOUS)]


def test_no_redirect_was_followed(hostile: Hostile) -> None:
    assert hostile.led == []


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_an_answer_that_nobody_asked_for_is_nobodys(
    hostile: Hostile, besieged: Service, stream: bool
) -> None:
    for _ in range(10):
        assert over_grpc(besieged, "good", stream=stream, address=besieged.worker).text == GOOD
        assert hostile.speak_unasked()
        assert over_grpc(besieged, "good", stream=stream, address=besieged.worker).text == GOOD
