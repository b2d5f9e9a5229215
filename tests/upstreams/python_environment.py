"""Makes the virtual environments of the Python clients in the cache, exactly as their lock files say.

A client is a folder in `clients/`: `requirements.in` says what to install, `make lock` writes
`requirements.lock` from it, and each script beside them is what a user of the client would write.
"""

import subprocess
import sys
from pathlib import Path

from tests.upstreams.cache import CannotMakeError, kept, key, say

FOLDER = Path(__file__).with_name("clients")
LOCK = "requirements.lock"
UV = Path(sys.executable).with_name("uv")


def python_of(client: str) -> Path:
    """Gives the interpreter of the client's environment, made first where it is not in the cache."""
    lock = FOLDER / client / LOCK
    name = key(lock.read_bytes(), sys.version, sys.base_prefix)
    environment = kept(f"client-{client}-{name}", lambda target: _make(target, client, lock))
    return environment / "bin" / "python"


def _make(target: Path, client: str, lock: Path) -> None:
    say(f"Installing the Python client {client}; it is kept for later runs")
    # It is moved to its place when it is whole.
    _run([UV, "venv", "--quiet", "--relocatable", "--python", sys.executable, target])
    exactly: list[str | Path] = ["--require-hashes", "--only-binary", ":all:", "--requirements", lock]
    _run([UV, "pip", "install", "--quiet", "--python", target / "bin" / "python", *exactly])


def _run(command: list[str | Path]) -> None:
    uv = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if uv.returncode:
        raise CannotMakeError(f"{' '.join(map(str, command))} failed with:\n{uv.stdout[-4000:]}")
