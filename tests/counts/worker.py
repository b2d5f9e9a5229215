"""A worker of the real service that has the counters of `probe` in it, and what they say of a call."""

import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tests.counts.cases import KILO, ROWS, STREAM, UNARY, Case, Told, caller
from tests.counts.upstream import Upstream, counting_upstream
from tests.service import Service, row, serving

PROBE = Path(__file__).with_name("probe")  # see `sitecustomize` there
CALLS, READS, SIZE, HELD = "Python calls", "reads of the upstream", "message bytes", "most bytes held"
_WARM, _CALLS, _PEAKS, _HELD = 10, 15, 5, 50  # calls for each of these
_BEGUN = 150  # calls after which what keeps the last of something is full
LEAK = 0.5  # blocks a call: what leaves something behind leaves one at least
_LINES = 1.0  # seconds in which the lines of the log have gone
_SETTLED = 3  # looks at the counters that must be the same, for a call to be at its end
_LOOK = 0.001  # seconds between two of them
_PATIENCE = 10.0  # seconds in which a call must come to its end


@dataclass(frozen=True)
class Counted:
    """What a call takes: the figures by name, the blocks of memory that stay, and its calls by function."""

    figures: Mapping[str, int]
    growth: float
    functions: Mapping[str, int]


class Probe:
    """Asks the probe of a worker."""

    def __init__(self, lines: TextIO) -> None:
        self._lines = lines

    def ask(self, question: str) -> Any:
        """Puts one of the questions that the probe knows."""
        self._lines.write(f"{question}\n")
        self._lines.flush()
        return json.loads(self._lines.readline())

    def settle(self) -> None:
        """Waits until nothing is done any more."""
        events = self.ask("events")
        same, end = 0, time.monotonic() + _PATIENCE
        while same < _SETTLED:
            assert time.monotonic() < end, "the worker does not come to rest"
            time.sleep(_LOOK)
            before, events = events, self.ask("events")
            same = same + 1 if events == before else 0

    def counts(self) -> Mapping[str, Counter[str]]:
        """What was counted since the last time, by kind and name."""
        return {kind: Counter(counts) for kind, counts in self.ask("counts").items()}


@dataclass(frozen=True)
class Bench:
    """What is needed to count."""

    service: Service
    upstream: Upstream
    probe: Probe


@contextmanager
def counting(folder: Path) -> Iterator[Bench]:
    """Runs the service with one worker that counts, in front of a catalog whose rows all have the model."""
    path = folder / "counts.sock"
    # The order of a set must not be another in each run.
    variables = {"PYTHONPATH": str(PROBE), "INTERFERENCE_COUNTS": str(path), "PYTHONHASHSEED": "0"}
    with counting_upstream() as upstream:
        rows = [row("Up" if n == 0 else f"Up{n}", upstream.url, priority=900) for n in range(ROWS)]
        with serving(folder, rows, variables, workers=1) as service, _asking(path) as lines:
            for case in (UNARY, STREAM):
                _warm(case, service, _BEGUN)
            yield Bench(service, upstream, Probe(lines))


@contextmanager
def _asking(path: Path) -> Iterator[TextIO]:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(_PATIENCE)
        asking.connect(str(path))
        with asking.makefile("rw", encoding="utf-8") as lines:
            yield lines


def count(bench: Bench, case: Case) -> Counted:
    """Makes the call of a case again and again, and counts when nothing is new to the worker any more.

    Each figure is that of the call at the lower quartile. What comes in between adds to some of them: a
    health check of Envoy's, the log's thread that is woken, a piece that the kernel hands over in two.
    """
    _warm(case, bench.service, _WARM)
    with caller(case, bench.service) as ask:
        ask()  # over the new connection
        seen = [_one(bench, ask) for _ in range(_CALLS)]
        growth = _growth(bench.probe, ask)
        held = _quartile(_peak(bench.probe, ask) for _ in range(_PEAKS))
    figures = {name: _quartile(figures[name] for figures, _ in seen) for name in seen[0][0]}
    if case.way == "rest":
        del figures[SIZE]  # times stand in it, in as many digits as they have
    if case.size > KILO:
        del figures[READS]  # how many pieces a large body makes is the kernel's business
        figures[HELD] = held  # of a small one little, beside the line of the log that may be on its way
    _, functions = next(one for one in seen if one[0][CALLS] == figures[CALLS])
    return Counted(figures, growth, functions)


def _quartile(values: Iterable[int]) -> int:
    ordered = sorted(values)
    return ordered[len(ordered) // 4]


def _warm(case: Case, service: Service, times: int) -> None:
    with caller(case, service) as ask:
        for _ in range(times):
            ask()


def _one(bench: Bench, ask: Callable[[], Told]) -> tuple[dict[str, int], Mapping[str, int]]:
    upstream = bench.upstream
    received, reads, connections = upstream.received, upstream.reads, upstream.connections
    bench.probe.counts()
    told = ask()
    bench.probe.settle()
    more = bench.probe.counts()
    loop = more["loop"]
    figures = {
        CALLS: more["called"].total(),
        "resumed coroutines": more["resumed"].total(),
        "C calls": more["builtin"].total(),
        "callbacks": loop["call_soon"] + loop["call_soon_threadsafe"],
        "timers": loop["call_later"] + loop["call_at"],
        "tasks": loop["create_task"],
        READS: upstream.reads - reads,
        "bytes to the upstream": upstream.received - received,
        "connections to the upstream": upstream.connections - connections,
        "messages": told.messages,
        SIZE: told.size,
    }
    return figures, more["called"] + more["resumed"] + more["builtin"]


def _growth(probe: Probe, ask: Callable[[], Told]) -> float:
    """The blocks of memory that each call leaves behind. The lines of the log leave a little later."""
    probe.settle()
    before = probe.ask("blocks")
    for _ in range(_HELD):
        ask()
    end = time.monotonic() + _LINES
    while (growth := (probe.ask("blocks") - before) / _HELD) >= LEAK and time.monotonic() < end:
        time.sleep(_LOOK)
    return float(growth)


def _peak(probe: Probe, ask: Callable[[], Told]) -> int:
    probe.ask("trace")
    ask()
    probe.settle()
    most: int = probe.ask("peak")
    return most
