"""The running model server: llama-server with the tiny model."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.programs import Program, environment, running
from tests.upstreams.llama_server import llama_server
from tests.upstreams.model_file import write_model

TEMPLATE = Path(__file__).with_name("tools.jinja")


@dataclass(frozen=True)
class Llama:
    """A running llama-server."""

    program: Program
    url: str
    key: str

    @property
    def base_url(self) -> str:
        """What an OpenAI client is given."""
        return f"{self.url}/v1"

    def busy_slots(self) -> int:
        """How many answers it is writing at the moment."""
        headers = {"authorization": f"Bearer {self.key}"}
        slots = requests.get(f"{self.url}/slots", headers=headers, timeout=10).json()
        return sum(slot["is_processing"] for slot in slots)

    def abandoned(self) -> int:
        """How many answers it has given up because nobody waited for them any more.

        To wait for one, wait for this: it looks once a second whether the caller of a whole answer is
        still there, but only after a second in which it was asked nothing, `/slots` included.
        """
        return self.program.said.count("cancel task")


@contextmanager
def llama_running(folder: Path, *options: str, key: str = "") -> Iterator[Llama]:
    """Runs llama-server with the tiny model under the name `wired`, with further options, and with this key
    or another.
    """
    model, key = folder / "wired.gguf", key or secrets.token_hex()
    write_model(model)
    command: list[str | Path] = [llama_server(), "--model", model, "--alias", "wired"]
    command += ["--host", "127.0.0.1", "--port", "0", "--offline"]
    command += ["--threads", "1", "--ctx-size", "8192", "--parallel", "8"]
    # A text that never ends, for those who ask for one: the oldest half makes room for more.
    command += ["--context-shift"]
    command += ["--jinja", "--chat-template-file", TEMPLATE]
    command += options
    # Not as an argument: those can be read by everyone on the machine.
    secret = environment(LLAMA_API_KEY=key)
    with running(command, folder / "llama.log", "listening on http", secret) as program:
        url = re.search(r"listening on (http://\S+)", program.said)
        assert url, program.said
        yield Llama(program, url[1], key)
