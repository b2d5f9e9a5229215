"""What the processes of a service hold: memory, files, sockets, and whether they hold more at the end."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import psutil

from tests.service import Service

MIB = 2**20
# Memory that was once taken for the load is not given back; a leak is what goes on after the warm-up. The
# heaps fragment, too, which levels off.
_MORE_MEMORY = 0.25
_MORE_BYTES = 20 * MIB
# A thread of Envoy opens its connection to a worker when it first needs it, and keeps it.
_MORE_SOCKETS = 4


@dataclass(frozen=True, slots=True)
class Gauge:
    """What one process holds. `pooled` are its connections to the upstream, which the others lack."""

    pid: int
    memory: int  # bytes, resident
    files: int
    sockets: int
    pooled: int


@dataclass(frozen=True, slots=True)
class Check:
    """A figure at the beginning and at the end, and the most that the latter may be."""

    what: str
    start: float
    end: float
    most: float

    @property
    def passed(self) -> bool:
        """Whether it is within its bound."""
        return self.end <= self.most


def read(service: Service, upstream_ports: Collection[int]) -> dict[str, Gauge]:
    """The gauges of Envoy and of each worker, by name. A process that has just ended is left out."""
    found: dict[str, Gauge] = {}
    for pid in service.program.descendants():
        try:
            process = psutil.Process(pid)
            if name := _name(process.cmdline(), len(found)):
                found[name] = _gauge(process, upstream_ports)
        except psutil.NoSuchProcess:
            continue
    return found


def _name(command: list[str], place: int) -> str:
    if "--config-path" in command:
        return "Envoy"
    return f"worker {place + 1}" if "server.worker" in command else ""


def _gauge(process: psutil.Process, upstream_ports: Collection[int]) -> Gauge:
    connections = process.net_connections(kind="inet")
    pooled = sum(1 for one in connections if one.raddr and one.raddr.port in upstream_ports)
    return Gauge(
        process.pid,
        process.memory_info().rss,
        process.num_fds() - pooled,
        len(connections) - pooled,
        pooled,
    )


def checks(start: Mapping[str, Gauge], end: Mapping[str, Gauge], idle: int) -> Iterator[Check]:
    """Compares what was there before the load and after it.

    `idle` is how many connections to the upstream may be left, for requests to come.
    """
    yield Check("sockets to the upstream", _pooled(start), _pooled(end), idle)
    for name, before in start.items():
        after = end.get(name)
        if after is None or after.pid != before.pid:
            yield Check(f"{name}: restarts", 0, 1, 0)
            continue
        most = max(before.memory * (1 + _MORE_MEMORY), before.memory + _MORE_BYTES)
        yield Check(f"{name}: memory, MiB", before.memory / MIB, after.memory / MIB, most / MIB)
        yield Check(f"{name}: open files", before.files, after.files, before.files + _MORE_SOCKETS)
        yield Check(f"{name}: sockets", before.sockets, after.sockets, before.sockets + _MORE_SOCKETS)


def _pooled(gauges: Mapping[str, Gauge]) -> int:
    return sum(gauge.pooled for gauge in gauges.values())
