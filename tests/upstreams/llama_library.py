"""llama-cpp-python with llama.cpp's library, built from the same archive as llama-server; once a machine.

`make local` has pip build it for people; here it is built as the tests build, which is three times as fast.
"""

import os
import shutil
import sysconfig
from pathlib import Path

from tests.upstreams import llama_source
from tests.upstreams.cache import kept, say
from tests.upstreams.packages import PythonPackages

_NEEDS = PythonPackages("llama-library", Path(__file__).with_name("library"))
# Only the library, which finds its parts beside itself.
DEFINITIONS = {
    **llama_source.DEFINITIONS,
    "BUILD_SHARED_LIBS": "ON",
    "CMAKE_BUILD_RPATH": "$ORIGIN",
    "CMAKE_BUILD_RPATH_USE_ORIGIN": "ON",
    "LLAMA_BUILD_COMMON": "OFF",
    "LLAMA_BUILD_SERVER": "OFF",
    "LLAMA_BUILD_TOOLS": "OFF",
}


def llama_library() -> Path:
    """The folder with the package `llama_cpp`, its library in it, made first where it is not there."""
    name = llama_source.build_key("llama.cpp's library", DEFINITIONS)
    return kept(f"llama-library-{name}", _build)


def variables() -> dict[str, str]:
    """The environment in which Python finds it, and what it needs."""
    paths = [str(llama_library())]
    paths.append(sysconfig.get_path("purelib", vars={"base": str(_NEEDS.install())}))
    return {"PYTHONPATH": os.pathsep.join(paths)}


def _build(target: Path) -> None:
    source = llama_source.fetch(target.parent)
    say("Building llama.cpp's library, about a minute on two idle cores; it is kept for later runs")
    built = llama_source.build(source, target.parent / "build", "llama", DEFINITIONS)
    shutil.copytree(source / "llama_cpp", target / "llama_cpp")
    shutil.copytree(built, target / "llama_cpp" / "lib", symlinks=True, dirs_exist_ok=True)
    say("Built llama.cpp's library")
