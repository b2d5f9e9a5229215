"""Has the callers call, and tells what that took: their time, and the CPU time of a gateway's processes."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from statistics import median

import msgspec
import psutil

from tests.bench.client import GO, READY, Order, Seen
from tests.bench.gateways import Gateway, Processes, Way
from tests.bench.loads import Load

_MIB = 2**20


@dataclass(frozen=True)
class Turn:
    """One load on one way into a gateway, once. Times in seconds."""

    calls: int
    chunks: int  # that the upstream sent
    elapsed: float
    cpu: Mapping[str, float]  # by role
    client_cpu: float  # of the callers: as much as `elapsed` in each process, and they were what limited
    seen: tuple[Seen, ...]


@dataclass(frozen=True)
class Figures:
    """What all turns of a load on a way say together: each figure is the median of those of the turns.
    Times in seconds; what is of chunks is 0 where nothing streamed.
    """

    calls: int  # of all turns
    cpu: Mapping[str, float]  # a call, by role
    chunk_cpu: float  # a chunk of the upstream's
    rate: float  # calls a second
    chunks_rate: float  # chunks a second that the upstream sent
    events: float  # that came, of each that the upstream sent
    p50: float
    p99: float
    first_p50: float
    first_p99: float
    client_share: float  # of a core, that each process of callers took

    @property
    def total_cpu(self) -> float:
        """A call, all roles together."""
        return sum(self.cpu.values())


class CallsFailedError(Exception):
    """A call of a load failed; the text says how."""


class Client:
    """A process of callers. What waits for it raises `CallsFailedError`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def prepare(self, order: Order) -> None:
        """Gives it an order."""
        self._say(f"{msgspec.json.encode(order).decode()}\n")

    def ready(self) -> None:
        """Waits until it could begin."""
        if (line := self._line()) != READY:
            raise CallsFailedError(msgspec.json.decode(line, type=Seen).fault)

    def go(self) -> None:
        """Has it begin."""
        self._say(GO)

    def seen(self) -> Seen:
        """Waits until it is done."""
        seen = msgspec.json.decode(self._line(), type=Seen)
        if seen.fault:
            raise CallsFailedError(seen.fault)
        return seen

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return line
        raise RuntimeError("the callers ended; their reason stands above")


@contextmanager
def clients(count: int = 1) -> Iterator[list[Client]]:
    """So many processes of callers."""
    command = [sys.executable, "-m", "tests.bench.client"]
    with ExitStack() as stack:
        started = []
        for _ in range(count):
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.terminate)  # whatever failed, it must not stay
            started.append(Client(process))
        yield started


def measure(callers: Sequence[Client], gateway: Gateway, way: Way, load: Load) -> Turn:
    """Runs a load, shared out over the processes of callers. Raises `CallsFailedError`."""
    share = replace(
        load,
        count=max(load.count // len(callers), 1),
        connections=max(load.connections // len(callers), 1),
    )
    for client in callers:
        client.prepare(Order(share, way, gateway.path, gateway.model, gateway.headers))
    for client in callers:
        client.ready()
    before = _cpu(gateway.processes)
    began = time.perf_counter()
    for client in callers:
        client.go()
    seen = tuple(client.seen() for client in callers)
    elapsed = time.perf_counter() - began
    after = _cpu(gateway.processes)
    asked = [load.asks[number % len(load.asks)] for number in range(share.count)] * len(callers)
    return Turn(
        calls=len(asked),
        chunks=sum(ask.chunks for ask in asked if ask.stream),
        elapsed=max(elapsed if len(callers) > 1 else 0.0, *(one.elapsed for one in seen)),
        cpu={role: after[role] - before[role] for role in after},
        client_cpu=sum(one.cpu for one in seen),
        seen=seen,
    )


def figures(turns: Sequence[Turn]) -> Figures:
    """Joins the turns of a load on a way."""

    def typical(of: Callable[[Turn], float]) -> float:
        return median(map(of, turns))

    return Figures(
        calls=sum(turn.calls for turn in turns),
        cpu={role: median(turn.cpu[role] / turn.calls for turn in turns) for role in turns[0].cpu},
        chunk_cpu=typical(lambda turn: sum(turn.cpu.values()) / max(turn.chunks, 1)),
        rate=typical(lambda turn: turn.calls / turn.elapsed),
        chunks_rate=typical(lambda turn: turn.chunks / turn.elapsed),
        events=typical(lambda turn: sum(one.events for one in turn.seen) / max(turn.chunks, 1)),
        p50=typical(lambda turn: percentile(_latencies(turn), 50)),
        p99=typical(lambda turn: percentile(_latencies(turn), 99)),
        first_p50=typical(lambda turn: percentile(_firsts(turn), 50)),
        first_p99=typical(lambda turn: percentile(_firsts(turn), 99)),
        client_share=typical(lambda turn: turn.client_cpu / turn.elapsed / len(turn.seen)),
    )


def _latencies(turn: Turn) -> list[float]:
    return [value for one in turn.seen for value in one.latencies]


def _firsts(turn: Turn) -> list[float]:
    return [value for one in turn.seen for value in one.firsts]


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of the values do not pass (the nearest rank); 0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank) - 1, 0)]


def rss(processes: Processes) -> dict[str, float]:
    """MiB of memory by role, those of a role together."""
    return {role: sum(one.memory_info().rss for one in those) / _MIB for role, those in processes.items()}


class Watch:
    """Watches what else the machine does, from its beginning."""

    def __init__(self) -> None:
        self._began, self._busy, self._own = time.perf_counter(), _busy(), _own()

    def others(self) -> float:
        """The cores that others took on average: all but this process and those it started, once ended."""
        took = (_busy() - self._busy) - (_own() - self._own)
        return round(max(took, 0.0) / (time.perf_counter() - self._began), 2)


def _busy() -> float:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # What guests take is in the user time, too.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return sum(times) - idle - guests


def _own() -> float:
    return sum(used.ru_utime + used.ru_stime for used in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


def _cpu(processes: Processes) -> dict[str, float]:
    return {role: sum(map(_cpu_time, those)) for role, those in processes.items()}


def _cpu_time(process: psutil.Process) -> float:
    """Seconds of user and system time. What psutil reads comes in steps of 10 ms, so on Linux the process's
    own clock is read. https://man7.org/linux/man-pages/man3/clock_getcpuclockid.3.html
    """
    if Path("/proc/self/stat").exists():
        return time.clock_gettime(~process.pid << 3 | 2)
    spent = process.cpu_times()
    return spent.user + spent.system
