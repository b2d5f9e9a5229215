"""Where the group keeps what is slow to make: outside the repository, each thing made once."""

import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path


class CannotMakeError(Exception):
    """Something that the tests stand on cannot be made here; the message says what to do."""


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """Gives the cached file or folder `name`; `make` writes it to the path it is given, if need be.

    It appears whole or not at all, and two runs at once make it once.
    """
    place = _folder() / name
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{name}.") as scratch:
                made = Path(scratch) / name
                make(made)
                made.rename(place)
    return place


def key(*parts: str | bytes) -> str:
    """A short name for everything that a cached thing depends on."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def say(line: str) -> None:
    """Writes a line of progress."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def _folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "interference"
