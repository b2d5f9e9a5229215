"""A model server that is started on this machine is found and enabled by itself, and gone when it ends."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import requests

from server import drivers
from server.config import Settings, load_catalog
from tests.calls import TIMEOUT, ask
from tests.programs import wait_until
from tests.service import Service, serving
from tests.upstreams.llama import llama_running
from tests.upstreams.llama_server import llama_server

KEY = "llama-key-0123456789"
ASKED = 20.0  # seconds between two looks at who is there: see `server.routing.discovery`


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def shipped(provider: str, port: int) -> dict[str, Any]:
    """The shipped row, for another port than the server's usual one, which may be taken here."""
    rows = {row.id: row for row in load_catalog(Settings(), drivers.KINDS).providers}
    row: dict[str, Any] = msgspec.to_builtins(rows[provider])
    return {**row, "base_url": f"http://127.0.0.1:{port}/v1"}


def enabled(service: Service) -> bool:
    listed = requests.get(f"{service.base_url}/providers", timeout=TIMEOUT).json()
    return "LlamaCpp" in [provider["id"] for provider in listed]


def models(service: Service) -> list[str]:
    listed = requests.get(f"{service.base_url}/models", timeout=TIMEOUT).json()
    return [model["id"] for model in listed["data"] if "LlamaCpp" in model.get("providers", ())]


def test_llama_server_comes_and_goes(made: Callable[[Callable[[], Path]], Path], tmp_path: Path) -> None:
    made(llama_server)
    port = free_port()
    # Each worker looks for itself: what one has found another may find a moment later.
    with serving(tmp_path, [shipped("LlamaCpp", port)], {"LLAMA_API_KEY": KEY}, workers=1) as service:
        assert (enabled(service), models(service)) == (False, [])
        with llama_running(tmp_path, "--port", str(port), key=KEY):
            wait_until(lambda: models(service) == ["wired"], lambda: service.program.said, ASKED + 10)
            assert enabled(service)
            assert ask(service, "rest", "", model="wired").text == "Hello from a tiny model."
        wait_until(lambda: not enabled(service), lambda: service.program.said, ASKED + 10)
        assert models(service) == []
