"""How the processes of workers are scheduled."""

import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.service import serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such policy")


@pytest.mark.parametrize("batch", [True, False], ids=["as it comes", "turned off"])
def test_workers_interrupt_no_other_program_unless_told_to(tmp_path: Path, batch: bool) -> None:
    assert sys.platform == "linux"
    settings: dict[str, Any] = {} if batch else {"batch_scheduling": False}
    with serving(tmp_path, workers=1, **settings) as service:
        others = [psutil.Process(pid) for pid in service.program.descendants()]
        (worker,) = (process for process in others if "server.worker" in process.cmdline())
        others.remove(worker)
        policies = {os.sched_getscheduler(thread.id) for thread in worker.threads()}
        assert {os.sched_getscheduler(other.pid) for other in others} == {os.SCHED_OTHER}
    assert policies == {os.SCHED_BATCH if batch else os.SCHED_OTHER}
