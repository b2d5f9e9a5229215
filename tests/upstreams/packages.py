"""Sets of published packages in the cache, outside the repository, exactly as their lock files say."""

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
    """A set of packages at exact versions; `name` is what the cache knows it by."""

    def install(self) -> Path:
        """The folder that it is in, installed first where it is not. Raises `CannotMakeError`."""
        ...

    def installed(self) -> Path | None:
        """The same folder, where it is there."""
        ...


@dataclass(frozen=True)
class PythonPackages:
    """A virtual environment of this Python with what `requirements.lock` in `source` says."""

    name: str
    source: Path

    def install(self) -> Path:
        """See `Packages`."""
        return kept(self._key, self._make)

    def installed(self) -> Path | None:
        """See `Packages`."""
        return _there(self._key)

    @property
    def _key(self) -> str:
        lock = self.source.joinpath(_LOCK).read_bytes()
        return f"{self.name}-{key(lock, sys.version, sys.base_prefix)}"

    def _make(self, target: Path) -> None:
        say(f"Installing {self.name} and what it needs; it is kept for later runs")
        # It is moved to its place when it is whole.
        _run([_UV, "venv", "--quiet", "--relocatable", "--python", sys.executable, target], self.source)
        exactly = ["--require-hashes", "--only-binary", ":all:", "--requirements", _LOCK]
        _run(
            [_UV, "pip", "install", "--quiet", "--python", target / "bin" / "python", *exactly], self.source
        )


@dataclass(frozen=True)
class NodePackages:
    """A folder with the `node_modules` that `package-lock.json` in `source` says."""

    name: str
    source: Path

    def install(self) -> Path:
        """See `Packages`."""
        return kept(self._key, self._make)

    def installed(self) -> Path | None:
        """See `Packages`. Without Node it is of no use."""
        return _there(self._key) if shutil.which("node") else None

    @property
    def _key(self) -> str:
        files = (self.source.joinpath(file).read_bytes() for file in _NODE_FILES)
        return f"{self.name}-{key(*files)}"

    def _make(self, target: Path) -> None:
        if missing := [tool for tool in ("node", "npm") if not shutil.which(tool)]:
            raise CannotMakeError(
                f"{self.name} cannot run: {' and '.join(missing)} not found. "
                "Node 20 or newer is needed: https://nodejs.org/en/download"
            )
        say(f"Installing {self.name} and what it needs; it is kept for later runs")
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
