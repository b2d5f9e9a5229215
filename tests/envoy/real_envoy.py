"""The real Envoy as a child process, and a plain HTTP client for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interference_edge import EdgeSettings, render

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTOR = ROOT / "gen" / "descriptor.binpb"
BINARY = shutil.which("envoy", path=str(Path(sys.executable).parent)) or "envoy"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/json"
        error = self.json()["error"]
        assert {"message", "type", "param", "code"} == set(error)
        assert error["message"]
        return dict(error)


def _answer(answer: http.client.HTTPResponse) -> Answer:
    names = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, names, answer.read())


@dataclass
class Edge:
    """A running Envoy."""

    port: int

    def __call__(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            defaults = {"content-type": "application/json"} if data is not None else {}
            # Envoy answers 413 and hangs up without reading to the end.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, data, {**defaults, **(headers or {})})
            return _answer(connection.getresponse())

    def chat(self, body: Any, headers: dict[str, str] | None = None) -> Answer:
        return self("POST", "/v1/chat/completions", body, headers)

    def raw(self, request: bytes) -> Answer:
        """Sends bytes that need not be a request."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return _answer(answer)


@contextlib.contextmanager
def running(folder: Path, *ports: int, ready: bool = True, **settings: Any) -> Iterator[Edge]:
    """Runs Envoy in front of the workers on these ports, until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    admin = folder / "admin.sock"
    chosen = EdgeSettings(
        port=0,
        workers=tuple(("127.0.0.1", port) for port in ports),
        admin_socket=str(admin),
        descriptor=str(DESCRIPTOR.with_name("transcoder.binpb")),
        openapi=str(DESCRIPTOR.with_name("openapi.json")),
        **settings,
    )
    config = folder / "envoy.yaml"
    config.write_text(render(chosen, DESCRIPTOR.read_bytes()), encoding="utf-8")
    command = [BINARY, "-c", str(config), "--use-dynamic-base-id", "--concurrency", "1"]
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen([*command, "--log-level", "warning"], stderr=log, stdout=log)
        try:
            yield Edge(_wait(process, admin, folder / "envoy.log", ready))
        finally:
            process.terminate()
            process.wait(10)


def _wait(process: subprocess.Popen[bytes], admin: Path, log: Path, ready: bool) -> int:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, LookupError, ValueError):
            listeners = json.loads(_ask(admin, "/listeners?format=json"))["listener_statuses"]
            port = int(listeners[0]["local_address"]["socket_address"]["port_value"])
            if not ready or b"health_flags::healthy" in _ask(admin, "/clusters"):
                return port
        time.sleep(0.05)
    raise RuntimeError(f"Envoy did not start: {log.read_text(encoding='utf-8')}")


def _ask(admin: Path, path: str) -> bytes:
    connection = http.client.HTTPConnection("localhost")
    with contextlib.closing(connection):
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        connection.sock.connect(str(admin))
        connection.request("GET", path)
        return connection.getresponse().read()
