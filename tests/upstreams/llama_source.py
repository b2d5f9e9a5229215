"""llama.cpp's sources in a pinned archive, and how what the tests need of them is built."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.upstreams.cache import CannotMakeError, key, say

VERSION = "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
UNITY = Path(__file__).with_name("unity.cmake")

# Quick to build rather than quick to run, and no network in the build. Not `native`: a cached binary must
# not depend on which machine of a kind built it.
DEFINITIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "CMAKE_CXX_FLAGS_RELEASE": "-O1",
    "CMAKE_C_FLAGS_RELEASE": "-O1",
    "CMAKE_UNITY_BUILD": "ON",
    "CMAKE_UNITY_BUILD_BATCH_SIZE": "12",
    "GGML_NATIVE": "OFF",
    "GGML_OPENMP": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_CURL": "OFF",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",  # on, the build downloads it
}


def build_key(what: str, definitions: Mapping[str, str]) -> str:
    """A short name for all that a build depends on. Raises `CannotMakeError` where tools are missing."""
    # An empty CC or CXX means the default, as it does to make.
    cc, cxx = (os.environ.get(name) or default for name, default in (("CC", "cc"), ("CXX", "c++")))
    missing = [tool for tool in ("cmake", cc, cxx) if not shutil.which(tool.split()[0])]
    missing += [] if _builder() else ["ninja"]
    if missing:
        raise CannotMakeError(
            f"{what} cannot be built: {', '.join(missing)} not found. "
            "On Debian: apt-get install cmake ninja-build g++"
        )
    recipe = repr((VERSION, SHA256, sorted(definitions.items())))
    return key(recipe, UNITY.read_bytes(), _version(cc), _version(cxx), platform.machine())


def fetch(folder: Path) -> Path:
    """Downloads the archive through pip, which compares the hash, and unpacks it; gives its folder."""
    say(f"Fetching llama.cpp (in llama-cpp-python {VERSION}, 77 MB)")
    pinned = folder / "requirements.txt"
    pinned.write_text(f"llama-cpp-python=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    only_source = ["--no-deps", "--no-binary", "llama-cpp-python", "--require-hashes"]
    _run([*pip, *only_source, "--requirement", str(pinned), "--dest", str(folder)])
    with tarfile.open(folder / f"llama_cpp_python-{VERSION}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / f"llama_cpp_python-{VERSION}"


def build(source: Path, tree: Path, target: str, definitions: Mapping[str, str]) -> Path:
    """Builds a target of llama.cpp in llama-cpp-python's `source`; gives the folder with what was built."""
    given = [f"-D{name}={value}" for name, value in definitions.items()]
    _run(["cmake", "-S", str(source / "vendor" / "llama.cpp"), "-B", str(tree), "-G", _builder(), *given])
    jobs = str(os.cpu_count() or 1)
    _run(["cmake", "--build", str(tree), "--target", target, "--parallel", jobs])
    return tree / "bin"


def _builder() -> str:
    """The tool that builds, by CMake's name for it; empty where there is none."""
    builders = {"ninja": "Ninja", "make": "Unix Makefiles"}
    return next((name for tool, name in builders.items() if shutil.which(tool)), "")


def _version(compiler: str) -> str:
    return subprocess.run(
        [*compiler.split(), "--version"], capture_output=True, text=True, check=True
    ).stdout


def _run(command: list[str]) -> None:
    """Runs a step, says how far it is at each tenth, and shows its last lines where it fails."""
    lines: list[str] = []
    tenth = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as step:
        assert step.stdout
        for line in step.stdout:
            lines.append(line)
            tenths = _progress(line) // 10
            if tenths > tenth:
                tenth = tenths
                say(f"  {tenth * 10} %")
    if step.returncode:
        last = "".join(lines[-20:])
        raise CannotMakeError(f"{' '.join(command[:4])} ... failed with:\n{last}")


def _progress(line: str) -> int:
    """The percentage that a line of Ninja ([12/85]) or make ([ 14%]) shows, else 0."""
    if ninja := re.match(r"\[(\d+)/(\d+)\]", line):
        return 100 * int(ninja[1]) // int(ninja[2])
    make = re.match(r"\[ *(\d+)%\]", line)
    return int(make[1]) if make else 0
