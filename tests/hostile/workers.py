"""What the service's processes hold: sockets, tasks, generators."""

import json
import socket
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.service import Service

PROBE = Path(__file__).with_name("probe")  # see `sitecustomize` there


@dataclass(frozen=True)
class Workers:
    """The workers of a running service."""

    processes: tuple[psutil.Process, ...]
    sockets: Path  # where the probe listens

    def held(self) -> Counter[str]:
        """The unfinished tasks, and the generators that are not at their end, by name."""
        found: Counter[str] = Counter()
        for process in self.processes:
            with socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(10)
                asking.connect(str(self.sockets / str(process.pid)))
                told = json.loads(b"".join(iter(lambda: asking.recv(65536), b"")))
            found.update(f"{kind}: {name}" for kind, names in told.items() for name in names)
        return found

    def connections(self, ports: Collection[int]) -> list[str]:
        """The connections to these ports, with their states."""
        return [
            f"{connection.raddr.port} {connection.status}"
            for process in self.processes
            for connection in process.net_connections("tcp")
            if connection.raddr and connection.raddr.port in ports
        ]

    def files(self) -> int:
        """How many files and sockets are open."""
        return sum(process.num_fds() for process in self.processes)

    def memory(self) -> int:
        """The most memory that a worker has had, in bytes."""
        peaks = (Path(f"/proc/{process.pid}/status").read_text() for process in self.processes)
        lines = (line.split() for status in peaks for line in status.splitlines())
        return max(int(line[1]) * 1024 for line in lines if line and line[0] == "VmHWM:")


def workers(service: Service, sockets: Path) -> Workers:
    """Finds the workers of a service that was started with the probe."""
    started = map(psutil.Process, service.program.descendants())
    return Workers(tuple(one for one in started if "server.worker" in one.cmdline()), sockets)
