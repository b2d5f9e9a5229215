"""Runs the programs that the tests talk to, and sees to it that nothing of them stays."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """A running program and what it has printed so far."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """Its output, stdout and stderr together."""
        return self.log.read_text(encoding="utf-8")

    def descendants(self) -> list[int]:
        """The processes that it started, and those that these started."""
        return _descendants(self.process.pid)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and waits; all that the program started must end too. Gives the exit code."""
        started = self.descendants()
        self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        wait_until(
            lambda: not any(map(alive, started)),
            lambda: f"left behind: {[pid for pid in started if alive(pid)]}\n{self.said}",
        )
        return code


@contextmanager
def running(
    command: Sequence[str | Path], log: Path, ready: str, environment: Mapping[str, str]
) -> Iterator[Program]:
    """Starts a program and waits until it printed `ready`. At the end SIGTERM must end it with 0."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    program = Program(process, log)
    try:
        wait_until(
            lambda: ready in program.said or process.poll() is not None,
            lambda: f"{command[0]} never said {ready!r}:\n{program.said}",
            seconds=60,
        )
        assert ready in program.said, f"{command[0]} ended with {process.returncode}:\n{program.said}"
        yield program
        if process.poll() is None:
            assert program.stop() == 0, f"{command[0]} at its end:\n{program.said}"
    finally:
        for pid in (*program.descendants(), process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def wait_until(holds: Callable[[], bool], otherwise: Callable[[], str], seconds: float = 15) -> None:
    """Waits until a condition holds; after `seconds` fails with the text that `otherwise` gives."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs. One that has ended and was not waited for does not."""
    return _ps("stat=", "-p", str(pid)).strip()[:1] not in ("", "Z")


def environment(**more: str) -> dict[str, str]:
    """No more than programs need: a person's own settings and keys must not reach them."""
    names = ("HOME", "LANG", "PATH", "TMPDIR")
    return {name: os.environ[name] for name in names if name in os.environ} | more


def _descendants(root: int) -> list[int]:
    parents = [tuple(map(int, line.split())) for line in _ps("pid=,ppid=", "-A").splitlines()]
    found, front = [], {root}
    while front:
        front = {pid for pid, parent in parents if parent in front}
        found += sorted(front)
    return found


def _ps(columns: str, *selection: str) -> str:
    return subprocess.run(
        ["ps", "-o", columns, *selection], capture_output=True, text=True, check=False
    ).stdout
