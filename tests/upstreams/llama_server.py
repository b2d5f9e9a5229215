"""Builds llama-server, the model server of llama.cpp, from a pinned source archive; once a machine.

`python -m tests.upstreams.llama_server` builds it ahead of the tests and prints where it is.
"""

import shutil
import sys
from pathlib import Path

from tests.upstreams import llama_source
from tests.upstreams.cache import CannotMakeError, kept, say

# Nothing but the server.
DEFINITIONS = {**llama_source.DEFINITIONS, "BUILD_SHARED_LIBS": "OFF", "LLAMA_BUILD_SERVER": "ON"}


def llama_server() -> Path:
    """Gives the path of llama-server, built first where it is not in the cache."""
    name = llama_source.build_key("llama-server", DEFINITIONS)
    return kept(f"llama-server-{name}", _build)


def _build(target: Path) -> None:
    source = llama_source.fetch(target.parent)
    say("Building llama-server, about three minutes on two idle cores; it is kept for later runs")
    definitions = {**DEFINITIONS, "CMAKE_PROJECT_INCLUDE": str(llama_source.UNITY)}
    built = llama_source.build(source, target.parent / "build", "llama-server", definitions)
    shutil.copy2(built / "llama-server", target)
    say("Built llama-server")


if __name__ == "__main__":
    try:
        print(llama_server())  # noqa: T201
    except CannotMakeError as error:
        sys.exit(str(error))
