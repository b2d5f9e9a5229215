"""A peer: how it is installed, started and stopped."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.gateways import MODEL, Gateway, free_port, processes_of
from tests.programs import Program, alive, environment, wait_until
from tests.upstreams.packages import Packages

ROLE = "gateway"
_PATIENCE = 120.0  # seconds until the first answer; of some it takes 10 on an idle machine
_QUESTION = 10.0  # seconds for an answer while it starts


@dataclass(frozen=True)
class Site:
    """Where a peer runs: what it is installed in, a folder for what it writes, the base URL of the
    upstream, and a port of 127.0.0.1 to listen on.
    """

    installed: Path
    folder: Path
    upstream: str
    port: int


@dataclass(frozen=True)
class Setup:
    """The command that starts a peer, and how to ask it then. `base_url` is given what the peer printed, as
    some choose their port themselves; it is empty until it is known.
    """

    command: Sequence[str | Path]
    base_url: Callable[[str], str]
    variables: Mapping[str, str] = field(default_factory=dict)
    model: str = MODEL
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Peer:
    """Another gateway. `share` is that of `Gateway`; it has `grace` seconds to end by itself."""

    name: str
    packages: Packages
    set_up: Callable[[Site], Setup]
    share: float = 1.0
    grace: float = 10.0

    def installed(self) -> bool:
        """Whether it could be started."""
        return self.packages.installed() is not None

    @contextmanager
    def serving(self, upstream: str, folder: Path) -> Iterator[Gateway]:
        """Runs it before the upstream with this base URL; it has answered once. Raises `AssertionError`,
        with what it printed, where it does not come to that. At the end nothing of it stays.
        """
        home = self.packages.installed()
        assert home, f"{self.name} is not installed"
        setup = self.set_up(Site(home, folder, upstream, free_port()))
        with _running(setup, folder, self.grace) as program:

            def gateway() -> Gateway:
                return Gateway(
                    self.name,
                    setup.base_url(program.said),
                    model=setup.model,
                    headers=setup.headers,
                    processes=processes_of(program, {}, ROLE),
                    share=self.share,
                )

            wait_until(
                lambda: program.process.poll() is not None or _answers(gateway()),
                lambda: f"{self.name} never answered:\n{program.said}",
                _PATIENCE,
            )
            code = program.process.poll()
            assert code is None, f"{self.name} ended with {code}:\n{program.said}"
            yield gateway()


@contextmanager
def _running(setup: Setup, folder: Path, grace: float) -> Iterator[Program]:
    """Not that of `tests.programs`: how a peer ends, and with what code, is its own affair."""
    log = folder / "peer.log"
    # What it keeps for its user belongs to this run alone.
    variables = environment(**{"HOME": str(folder), "DO_NOT_TRACK": "1", **setup.variables})
    with log.open("wb") as output:
        process = subprocess.Popen(
            setup.command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    program = Program(process, log)
    try:
        yield program
    finally:
        _stop(program, grace)


def _stop(program: Program, grace: float) -> None:
    started = program.descendants()
    program.process.terminate()
    with suppress(subprocess.TimeoutExpired):
        program.process.wait(grace)
    for pid in {program.process.pid, *started}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    program.process.wait()
    wait_until(lambda: not any(map(alive, started)), lambda: f"left behind: {started}")


def _answers(gateway: Gateway) -> bool:
    """Whether a call gets 200."""
    if not gateway.base_url:
        return False
    body = {"model": gateway.model, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"content-type": "application/json", **gateway.headers}
    url = f"{gateway.base_url.rstrip('/')}/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_QUESTION) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
