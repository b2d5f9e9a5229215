"""What the gateway may cost, and whether it costs no more."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.bench.gateways import DIRECT, OURS, REST, STRAIGHT
from tests.bench.loads import BODY, BURST, PACED, UNARY
from tests.bench.measuring import Figures
from tests.bench.run import WORKERS, Case, Grown, Memory

# The cores that there must be for two workers to do twice as much as one: theirs, those of the upstream, of
# two processes of callers, and over REST as many again for Envoy as for the workers.
_CORES = {REST: 7, STRAIGHT: 5}


@dataclass(frozen=True)
class Findings:
    """All that a run has measured. What it did not measure is empty."""

    machine: Mapping[str, str | float]
    figures: Mapping[Case, Figures] = field(default_factory=dict)
    rss: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # MiB by gateway and role
    cold_starts: Sequence[float] = ()
    grown: Sequence[Grown] = ()
    memory: Memory | None = None
    missing: Mapping[str, str] = field(default_factory=dict)  # gateways that are not there, and why

    @property
    def cores(self) -> int:
        """The cores of the machine."""
        return int(self.machine["cores"])


@dataclass(frozen=True)
class Target:
    """A limit and what was measured. `met` is None where nothing that would tell was; `note` says why."""

    what: str
    way: str
    limit: float
    measured: float | None
    unit: str
    least: bool = False  # the limit is the least there may be, not the most
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it is met."""
        if self.measured is None or self.note:
            return None
        return self.measured >= self.limit if self.least else self.measured <= self.limit


def targets(found: Findings) -> list[Target]:
    """All targets."""
    return [*_costs(found), *_times(found), *_workers(found), *_whole(found)]


def added(found: Findings, case: Case, name: str) -> float | None:
    """How many more seconds something took than straight from the upstream: a field of `Figures`."""
    ours, direct = found.figures.get(case), found.figures.get(Case(DIRECT, REST, case.load))
    return None if ours is None or direct is None else getattr(ours, name) - getattr(direct, name)


def _costs(found: Findings) -> Iterator[Target]:
    limits = {(UNARY, REST): 0.75, (UNARY, STRAIGHT): 0.45, (BURST, REST): 1.5, (BURST, STRAIGHT): 0.9}
    for (load, way), limit in limits.items():
        figures = found.figures.get(Case(OURS, way, load))
        # Seconds a thousand calls are milliseconds a call.
        measured = 1e3 * figures.total_cpu if figures else None
        yield Target(f"{load}, CPU a thousand", way, limit, measured, "s")
    for way, limit in {REST: 120, STRAIGHT: 80}.items():
        figures = found.figures.get(Case(OURS, way, PACED))
        measured = 1e6 * figures.chunk_cpu if figures else None
        yield Target(f"{PACED}, CPU a chunk", way, limit, measured, "us")


def _times(found: Findings) -> Iterator[Target]:
    parts = (
        (f"{PACED}, added to first content, p50", PACED, REST, "first_p50", 3),
        (f"{PACED}, added to first content, p99", PACED, REST, "first_p99", 15),
        (f"{BODY}, added time", BODY, REST, "p50", 150),
        (f"{BODY}, added time", BODY, STRAIGHT, "p50", 60),
    )
    for what, load, way, name, limit in parts:
        seconds = added(found, Case(OURS, way, load), name)
        yield Target(what, way, limit, None if seconds is None else 1e3 * seconds, "ms")


def _workers(found: Findings) -> Iterator[Target]:
    for way, needed in _CORES.items():
        by_count = {
            one.value: one.figures
            for one in found.grown
            if (one.by, one.case.way, one.case.load) == (WORKERS, way, UNARY)
        }
        one, two, four = map(by_count.get, (1, 2, 4))
        cost = four.total_cpu / one.total_cpu if one and four else None
        yield Target("CPU a call, 4 workers against 1", way, 1.1, cost, "x")
        note = f"{found.cores} cores do not show it, {needed} would" if found.cores < needed else ""
        rate = two.rate / one.rate if one and two else None
        yield Target("calls a second, 2 workers against 1", way, 1.7, rate, "x", least=True, note=note)


def _whole(found: Findings) -> Iterator[Target]:
    start = median(found.cold_starts) if found.cold_starts else None
    yield Target("cold start to the first 200", REST, 2, start, "s")
    before, after = found.memory.mib if found.memory else (None, None)
    growth = after / before if before and after else None
    yield Target("memory of a worker after all calls, against early", "both", 1.05, growth, "x")
    yield Target("memory of a worker after all calls", "both", 90, after, "MiB")
