"""py-spy: how it is called, what keeps it from looking, and whether it saw anything of ours."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_RATE = 250  # looks a second; each stops the worker for about 0.1 ms
_PATIENCE = 60  # seconds beyond its time, in which it draws
_OURS = re.compile(r"<title>[^<]*\bserver/[^<]*</title>")
_REFUSED = re.compile(r"permission|not permitted|root|operation not", re.IGNORECASE)
_WAYS_OUT = {
    "linux": "This system lets nobody but root look into a process: sudo make profile. In a container, add "
    "the capability SYS_PTRACE (docker run --cap-add SYS_PTRACE).",
    "darwin": "macOS lets nobody but root look into a process: sudo make profile. A Python that came with "
    "the system cannot be looked into at all; one from python.org or Homebrew can.",
}


class Refused(Exception):  # noqa: N818 - says what happened
    """py-spy could not look, or saw nothing of ours."""


@dataclass(frozen=True)
class Spy:
    """Looks at a process for so many seconds, and draws what it saw."""

    output: Path
    seconds: int
    native: bool = False

    @contextmanager
    def looking(self, pid: int) -> Iterator[Callable[[], bool]]:
        """Looks at a process; what it gives says whether it still does. Raises `Refused` at the end."""
        self.output.unlink(missing_ok=True)  # what was there before must not pass for what is seen now
        process = subprocess.Popen(
            self.command(pid), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            yield lambda: process.poll() is None
            _, said = process.communicate(timeout=_PATIENCE)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise Refused(why(said, sys.platform))
        if not self.frames():
            raise Refused(f"{self.output} has no frame of server/: was the worker idle?")

    def command(self, pid: int) -> list[str]:
        """The command line. Raises `Refused` where py-spy is not installed."""
        binary = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
        if binary is None:
            raise Refused("py-spy is not installed: it comes with the development tools (make profile)")
        command = [binary, "record", "--pid", str(pid), "--duration", str(self.seconds)]
        command += ["--rate", str(_RATE), "--format", "flamegraph", "--output", str(self.output)]
        # Whether a thread waits cannot be told on each system; one that holds the lock of Python works.
        command += ["--gil"]
        return [*command, "--native"] if self.native else command

    def frames(self) -> int:
        """How many frames of server/ are in what was drawn."""
        if not self.output.exists():
            return 0
        return len(_OURS.findall(self.output.read_text(encoding="utf-8")))


def why(said: str, platform: str) -> str:
    """What py-spy said when it failed, and the way out where the system refused."""
    told = f"py-spy: {said.strip()[-1000:] or 'failed without a word'}"
    return f"{told}\n{_WAYS_OUT.get(platform, '')}".rstrip() if _REFUSED.search(said) else told
