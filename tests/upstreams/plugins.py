"""The example plug-ins of the documentation, in Node and in Go, made as their pages say and kept."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.upstreams.cache import CannotMakeError, kept, key, say
from tests.upstreams.packages import NodePackages

ROOT = Path(__file__).parents[2]
DESCRIPTOR = ROOT / "gen" / "descriptor.binpb"
NODE = ROOT / "docs" / "plugins" / "node"
GO = ROOT / "docs" / "plugins" / "go"
_GO_FILES = ("main.go", "go.mod", "go.sum", "buf.gen.yaml")
_BUF = Path(sys.executable).with_name("buf")


def node_modules() -> Path:
    """Gives the path of `node_modules` of the plug-in in Node."""
    return NodePackages("plugin-node", NODE).install() / "node_modules"


def go_program() -> Path:
    """Gives the plug-in in Go as a program, built first where it is not in the cache."""
    if not shutil.which("go"):
        raise CannotMakeError("The plug-in in Go cannot be built: go not found: https://go.dev/dl/")
    files = [GO.joinpath(name).read_bytes() for name in _GO_FILES]
    version = subprocess.run(["go", "version"], capture_output=True, check=False).stdout
    return kept(f"plugin-go-{key(*files, DESCRIPTOR.read_bytes(), version)}", _build)


def _build(target: Path) -> None:
    say("Building the plug-in in Go (about a minute); it is kept for later runs")
    with tempfile.TemporaryDirectory() as scratch:
        for name in _GO_FILES:
            shutil.copy(GO / name, scratch)
        _run([_BUF, "generate", DESCRIPTOR, "--exclude-path", "google"], scratch)
        _run(["go", "build", "-o", target, "."], scratch)


def _run(command: Sequence[str | Path], folder: str) -> None:
    environment = {**os.environ, "GOFLAGS": "-mod=readonly"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotMakeError(f"{' '.join(map(str, command))} failed with:\n{done.stdout[-4000:]}")
