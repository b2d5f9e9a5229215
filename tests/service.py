"""The real service for the tests: the command `interference serve`, with Envoy and its workers."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.programs import Program, environment, running

COMMAND = Path(sys.executable).with_name("interference")


@dataclass(frozen=True)
class Service:
    """A running service."""

    program: Program
    url: str  # http://host:port of Envoy
    worker_ports: tuple[int, ...]

    @property
    def base_url(self) -> str:
        """What an OpenAI client is given."""
        return f"{self.url}/v1"

    @property
    def envoy(self) -> str:
        """host:port of Envoy, for gRPC."""
        return self.url.removeprefix("http://")

    @property
    def worker(self) -> str:
        """host:port of a worker, for gRPC without Envoy."""
        return f"127.0.0.1:{self.worker_ports[0]}"


@contextmanager
def serving(
    folder: Path,
    rows: Iterable[Mapping[str, Any]] = (),
    variables: Mapping[str, str] | None = None,
    routes: Iterable[Mapping[str, Any]] = (),
    **settings: Any,
) -> Iterator[Service]:
    """Runs the real command on free ports with these catalog rows and routes, environment variables and
    settings. At its end no call runs any more, so that it need not wait for long.
    """
    values = {"port": 0, "grpc_port": 0, "workers": 2, "media": {"dir": str(folder / "media")}}
    values |= {"grace": 0.2, "providers": "own.yaml", **settings}
    catalog = {"providers": [dict(row) for row in rows], "routes": [dict(route) for route in routes]}
    (folder / "own.yaml").write_text(yaml.safe_dump(catalog))
    (folder / "settings.yaml").write_text(yaml.safe_dump(values))
    command: list[str | Path] = [COMMAND, "serve", "--config", folder / "settings.yaml"]
    with running(command, folder / "service.log", "Ready", environment(**(variables or {}))) as program:
        rest = _found(r"REST +(http://\S+)/v1", program.said).replace("localhost", "127.0.0.1")
        ports = _found(r"workers themselves: ([\d, ]+)", program.said)
        yield Service(program, rest, tuple(map(int, ports.split(","))))


def row(provider_id: str, base_url: str, **more: Any) -> dict[str, Any]:
    """A catalog row for a server at `base_url` that has the model `m`. What is None is left out."""
    fields = {"id": provider_id, "driver": "openai", "base_url": base_url, "models": ["m"], "probe": False}
    return {name: value for name, value in (fields | more).items() if value is not None}


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, f"no {pattern} in:\n{text}"
    return found[1]
