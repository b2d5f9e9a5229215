"""A client in a process of its own: the tests have it do one task after another.

The process runs a script of the client under `clients/serve.py` or `node/serve.mjs`; these say how it is
spoken to.
"""

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.programs import environment

PATIENCE = 60  # seconds for a task; a client's first one includes its imports


@dataclass(frozen=True)
class Raised:
    """An exception, as a user of the client sees it."""

    name: str  # of its class
    status: int | None
    message: str
    body: Any  # of the answer, as far as the client keeps it
    retry_after: str | None


@dataclass(frozen=True)
class Client:
    """A running client."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it can do another task: one that did not answer is ended."""
        return self.process.poll() is None

    def does(self, task: str, **arguments: Any) -> Any:
        """What the task gives."""
        return _given(self._outcome(task, arguments))

    def begins(self, task: str, **arguments: Any) -> Any:
        """The first piece of what the task gives piece by piece; it leaves without the rest."""
        return _given(self._outcome(task, arguments, first=True))

    def raises(self, task: str, **arguments: Any) -> Raised:
        """The exception that the task ends with."""
        outcome = self._outcome(task, arguments)
        assert "raised" in outcome, f"{task} raised nothing and gave {outcome['gave']!r}"
        told = outcome["raised"]
        del told["traceback"]
        return Raised(name=told.pop("class"), **told)

    def _outcome(self, task: str, arguments: dict[str, Any], *, first: bool = False) -> dict[str, Any]:
        assert self.process.stdin
        call = json.dumps({"task": task, "arguments": arguments, "first": first})
        self.process.stdin.write(call.encode() + b"\n")
        self.process.stdin.flush()
        outcome: dict[str, Any] = json.loads(self._line(task))
        return outcome

    def _line(self, task: str) -> bytes:
        assert self.process.stdout
        line, deadline = b"", time.monotonic() + PATIENCE
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 2**16) if ready else b""
            if not piece:
                # A late answer must not be taken for that of the next task.
                self.process.kill()
                self.process.wait()
                what = "ended" if ready else "did not answer"
                raise AssertionError(f"the client {what} at {task}:\n{self.log.read_text()[-4000:]}")
            line += piece
        return line


def _given(outcome: dict[str, Any]) -> Any:
    assert "gave" in outcome, outcome["raised"]["traceback"]
    return outcome["gave"]


@contextmanager
def client_running(command: Sequence[str | Path], folder: Path, log: Path) -> Iterator[Client]:
    """Runs a client in a folder; it ends when nothing can be asked of it any more."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=environment(),
        ) as process,
    ):
        try:
            yield Client(process, log)
        finally:
            assert process.stdin
            process.stdin.close()
            try:
                process.wait(10)
            finally:
                process.kill()
