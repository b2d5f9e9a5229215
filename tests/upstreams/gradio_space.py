"""The running Gradio app: a Space on this machine, and the rows that ask it."""

import json
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from server import catalog
from tests.programs import Program, environment, running, wait_until
from tests.upstreams.python_environment import python_of

APP = Path(__file__).with_name("gradio_app.py")
FLUX = "black-forest-labs/FLUX.1-schnell"


@dataclass(frozen=True)
class LocalSpace:
    """A running Gradio app."""

    program: Program
    url: str

    def join(self, endpoint: str, *data: Any) -> str:
        """Puts a job into its queue, which nobody waits for; its id."""
        answer = requests.post(f"{self.url}/gradio_api/call/{endpoint}", json={"data": data}, timeout=10)
        assert answer.status_code == 200, answer.text
        job: str = answer.json()["event_id"]
        return job

    def cancel(self, job: str) -> None:
        """Takes a job of `forever` out of the queue, or ends it."""
        functions = requests.get(f"{self.url}/config", timeout=10).json()["dependencies"]
        number = next(one["id"] for one in functions if one["api_name"] == "forever")
        body = {"session_hash": job, "event_id": job, "fn_index": number}
        answer = requests.post(f"{self.url}/gradio_api/cancel", json=body, timeout=10)
        assert answer.status_code == 200, answer.text

    def waiting(self) -> int:
        """How many jobs of `forever` wait, as one is told that comes after them."""
        job = self.join("forever", "probe")
        with requests.get(
            f"{self.url}/gradio_api/queue/data", params={"session_hash": job}, stream=True, timeout=10
        ) as told:
            first = next(told.iter_lines())
        self.cancel(job)
        rank: int = json.loads(first.removeprefix(b"data: "))["rank"]
        return rank

    def says(self, line: str) -> None:
        """Waits until the app has printed a line."""
        wait_until(lambda: line in self.program.said, lambda: f"no {line!r} in:\n{self.program.said}")


@contextmanager
def space_running(folder: Path) -> Iterator[LocalSpace]:
    """Runs the app on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    settings = environment(
        GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", GRADIO_TEMP_DIR=str(folder / "files")
    )
    command: list[str | Path] = [python_of("gradio"), APP, str(port)]
    with running(command, folder / "space.log", "Ready", settings) as program:
        yield LocalSpace(program, f"http://127.0.0.1:{port}")


def shipped_row(url: str) -> dict[str, Any]:
    """The row that is shipped for Spaces, pointed at an app elsewhere."""
    rows = yaml.safe_load(Path(catalog.__file__).with_name("providers.yaml").read_text())["providers"]
    row: dict[str, Any] = next(row for row in rows if row["id"] == "HuggingSpace")
    return {**row, "base_url": url}


def other_row(url: str) -> dict[str, Any]:
    """A row with the app's other endpoints, among them one that it does not have."""
    said = ["message"]
    history = {"field": "history", "value": []}
    recite = ["message", history, {"field": "system", "value": ""}, {"field": "temperature", "value": 1}]
    pairs = ["message", {**history, "form": "pairs"}, *recite[2:]]
    models = {
        "talk": {"endpoint": "chat", "inputs": said},
        "transcript": {"endpoint": "chat", "inputs": ["transcript"]},
        "drafts": {"endpoint": "drafts", "inputs": said},
        "fair-copy": {"endpoint": "drafts", "inputs": said, "appends": False},
        "recite": {"endpoint": "recite", "inputs": recite},
        "pairs": {"endpoint": "recite", "inputs": pairs},
        "forever": {"endpoint": "forever", "inputs": said},
        "missing": {"endpoint": "nothing", "inputs": said},
        "gallery": {"endpoint": "gallery", "inputs": ["prompt", {"field": "n", "value": 1}]},
    }
    return {
        "id": "Talk",
        "driver": "gradio",
        "base_url": url,
        "models": [name for name in models if name != "gallery"],
        "image_models": ["gallery"],
        "options": {"models": models},
        "breaker": {"enabled": False},
        "retry": {"times": 0},
    }


def token() -> str:
    """A key for the app, which takes any."""
    return f"hf_{secrets.token_hex()}"
