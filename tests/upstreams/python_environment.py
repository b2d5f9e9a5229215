"""The virtual environments of the Python clients.

A client is a folder in `clients/`: `requirements.in` says what to install, `make lock` writes
`requirements.lock` from it, and each script beside them is what a user of the client would write.
"""

from pathlib import Path

from tests.upstreams.packages import PythonPackages

FOLDER = Path(__file__).with_name("clients")


def python_of(client: str) -> Path:
    """Gives the interpreter of the client's environment, made first where it is not in the cache."""
    return PythonPackages(f"client-{client}", FOLDER / client).install() / "bin" / "python"
