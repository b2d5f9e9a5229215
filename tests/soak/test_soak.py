"""That a short soak passes, by the command that runs the long one, and that one can fail."""

import subprocess
import sys

import pytest

from tests.soak import asks, servicelog
from tests.soak.gauges import Check, Gauge, checks
from tests.soak.judge import Came
from tests.soak.load import Tally
from tests.soak.run import Found

COMMAND = (sys.executable, "-m", "tests.soak", "--requests", "400", "--quick", "--seed", "make test")
BEFORE = Gauge(pid=1, memory=60 * 2**20, files=20, sockets=5, pooled=0)


def test_requests_under_faults_end_legally_and_leave_nothing_behind() -> None:
    ended = subprocess.run(COMMAND, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.endswith("All is as it must be.\n"), ended.stdout


def test_an_illegal_end_fails_a_soak() -> None:
    tally = Tally()
    tally.add(asks.draw("seed", 1), Came(fault="hangs"))
    assert not Found(tally, []).passed


def test_a_figure_that_is_too_high_fails_a_soak() -> None:
    assert Found(Tally(), [Check("", 1, 2, 2)]).passed
    assert not Found(Tally(), [Check("", 1, 3, 2)]).passed


def test_a_traceback_in_the_log_fails_a_soak() -> None:
    assert not Found(Tally(), [], log=["Traceback (most recent call last):"]).passed


@pytest.mark.parametrize(
    ("after", "failed"),
    [
        pytest.param(BEFORE, [], id="as it was"),
        pytest.param(Gauge(1, 79 * 2**20, 20, 5, 0), [], id="a little more memory"),
        pytest.param(Gauge(1, 81 * 2**20, 20, 5, 0), ["worker 1: memory, MiB"], id="memory"),
        pytest.param(Gauge(1, 60 * 2**20, 25, 5, 0), ["worker 1: open files"], id="files"),
        pytest.param(Gauge(1, 60 * 2**20, 20, 10, 0), ["worker 1: sockets"], id="sockets"),
        pytest.param(Gauge(1, 60 * 2**20, 20, 5, 3), ["sockets to the upstream"], id="left upstream"),
        pytest.param(Gauge(2, 60 * 2**20, 20, 5, 0), ["worker 1: restarts"], id="a restart"),
        pytest.param(None, ["worker 1: restarts"], id="an end"),
    ],
)
def test_what_is_left_over_is_seen(after: Gauge | None, failed: list[str]) -> None:
    end = {"worker 1": after} if after else {}
    found = checks({"worker 1": BEFORE}, end, idle=2)
    assert [check.what for check in found if not check.passed] == failed


def test_the_log_is_read() -> None:
    call = '{"event": "call", "request_id": "soak-7", "error": "Traceback"}'
    other = '{"event": "call", "request_id": "0b1c"}'
    log = servicelog.read([call, other, call, "Ready in 1 s", "Traceback (most recent call last):\n"], [7])
    assert (log.calls, log.wanted) == ({7: 2}, {7: [call, call]})
    assert log.wrong == ["Traceback (most recent call last):"]
