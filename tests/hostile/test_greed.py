"""An upstream that sends as much as it can keeps no other call of the same worker waiting."""

import threading
import time

import pytest

from tests.calls import over_grpc
from tests.hostile.answers import GOOD
from tests.hostile.conftest import Before
from tests.hostile.table import CASES, GREEDY, TOTAL
from tests.service import Service

_LONGEST = 1.5  # seconds for an answer that takes a few milliseconds, on a busy machine


@pytest.mark.parametrize("fault", GREEDY)
def test_a_greedy_upstream_starves_no_other_call(besieged: Service, before: Before, fault: str) -> None:
    assert before.pids
    case = next(case for case in CASES if case.fault == fault and not case.whole)
    streamed = case.kind == "stream"

    def greedy() -> None:
        over_grpc(besieged, case.provider, stream=streamed, address=besieged.worker)

    playing = threading.Thread(target=greedy)
    began = time.monotonic()
    playing.start()
    longest = 0.0
    while playing.is_alive():
        asked = time.monotonic()
        outcome = over_grpc(besieged, "good", stream=False, address=besieged.worker)
        longest = max(longest, time.monotonic() - asked)
        assert outcome.text == GOOD
    playing.join()
    assert longest < _LONGEST
    assert time.monotonic() - began < TOTAL + _LONGEST
