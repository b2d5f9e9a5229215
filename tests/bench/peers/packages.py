"""Where the peers are installed: outside the repository, each in a folder that its lock file names."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from tests.upstreams.cache import CannotMakeError, kept, key, say

_LOCK = "requirements.lock"
_NODE_FILES = ("package.json", "package-lock.json", ".npmrc")
_UV = Path(sys.executable).with_name("uv")


class Packages(Protocol):
    """What a peer needs, at exact versions."""

    def install(self) -> Path:
        """The folder that it is in, installed first where it is not. Raises `CannotMakeError`."""
        ...

    def installed(self) -> Path | None:
        """The same folder, where it is there."""
        ...


@dataclass(frozen=True)
class PythonPackages:
    """A virtual environment of this Python with what `requirements.lock` in `source` says."""

    source: Path

    def install(self) -> Path:
        """See `Packages`."""
        return kept(self._name, self._make)

    def installed(self) -> Path | None:
        """See `Packages`."""
        return _there(self._name)

    @property
    def _name(self) -> str:
        lock = self.source.joinpath(_LOCK).read_bytes()
        return f"peer-{self.source.name}-{key(lock, sys.version, sys.base_prefix)}"

    def _make(self, target: Path) -> None:
        say(f"Installing {self.source.name} and what it needs")
        # It is moved to its place when it is whole.
        _run([_UV, "venv", "--quiet", "--relocatable", "--python", sys.executable, target], self.source)
        command: list[str | Path] = [
            _UV,
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--only-binary",
            ":all:",
        ]
        _run([*command, "--python", target / "bin" / "python", "--requirements", _LOCK], self.source)


@dataclass(frozen=True)
class NodePackages:
    """A folder with the `node_modules` that `package-lock.json` in `source` says."""

    source: Path

    def install(self) -> Path:
        """See `Packages`."""
        return kept(self._name, self._make)

    def installed(self) -> Path | None:
        """See `Packages`. Without Node it is of no use."""
        return _there(self._name) if shutil.which("node") else None

    @property
    def _name(self) -> str:
        files = (self.source.joinpath(file).read_bytes() for file in _NODE_FILES)
        return f"peer-{self.source.name}-{key(*files)}"

    def _make(self, target: Path) -> None:
        if missing := [tool for tool in ("node", "npm") if not shutil.which(tool)]:
            raise CannotMakeError(
                f"{' and '.join(missing)} not found. Node 20 or newer is needed: https://nodejs.org/en/download"
            )
        say(f"Installing {self.source.name} and what it needs")
        target.mkdir()
        for file in _NODE_FILES:
            shutil.copy(self.source / file, target)
        _run(["npm", "ci"], target)


class _NotThereError(Exception):
    pass


def _there(name: str) -> Path | None:
    def never(_: Path) -> NoReturn:
        raise _NotThereError

    try:
        return kept(name, never)
    except _NotThereError:
        return None


def _run(command: Sequence[str | Path], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise CannotMakeError(f"{' '.join(map(str, command))} failed with:\n{done.stdout[-4000:]}")
