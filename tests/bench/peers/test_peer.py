"""Peers are started, asked and stopped; those here are scripts, as the real ones need not be installed."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.bench.peers.peer import ROLE, Peer, Setup, Site
from tests.programs import alive
from tests.upstreams.cache import CannotMakeError
from tests.upstreams.packages import NodePackages, Packages, PythonPackages

_UPSTREAM = "http://127.0.0.1:9/v1"
_BUSY = """
import http.server, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
asked = 0

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        global asked
        asked += 1
        right = self.headers["x-for"] == "me" and self.path == "/v1/chat/completions"
        self.send_response(503 if asked < 3 else 200 if right else 400)
        self.send_header("content-length", "0")
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
_STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{_BUSY}"


@dataclass(frozen=True)
class Folder:
    """Packages that need no installing."""

    path: Path | None

    def install(self) -> Path:
        """See `Packages`."""
        raise CannotMakeError

    def installed(self) -> Path | None:
        """See `Packages`."""
        return self.path


def _peer(script: str, folder: Path | None, **more: str) -> Peer:
    def set_up(site: Site) -> Setup:
        command = [sys.executable, "-c", script, str(site.port)]
        return Setup(command, lambda _: f"http://127.0.0.1:{site.port}/v1", headers=more)

    return Peer("Scripted", Folder(folder), set_up, share=0.5)


def test_a_peer_is_given_when_it_has_answered_and_nothing_of_it_stays(tmp_path: Path) -> None:
    with _peer(_BUSY, tmp_path, **{"x-for": "me"}).serving(_UPSTREAM, tmp_path) as gateway:
        assert gateway.name == "Scripted"
        assert gateway.headers == {"x-for": "me"}
        assert gateway.share == 0.5
        pids = [process.pid for process in gateway.processes[ROLE]]
        assert len(pids) == 2
        assert all(map(alive, pids))
    assert not any(map(alive, pids))


def test_a_peer_that_ends_at_once_is_named_with_what_it_printed(tmp_path: Path) -> None:
    peer = _peer("import sys; sys.exit('no such setting')", tmp_path)
    with (
        pytest.raises(AssertionError, match=r"(?s)Scripted ended with 1:.*no such setting"),
        peer.serving(_UPSTREAM, tmp_path),
    ):
        pytest.fail("it was given")


def test_a_peer_that_will_not_end_is_ended(tmp_path: Path) -> None:
    peer = replace(_peer(_STUBBORN, tmp_path, **{"x-for": "me"}), grace=0.1)
    with peer.serving(_UPSTREAM, tmp_path) as gateway:
        pids = [process.pid for process in gateway.processes[ROLE]]
    assert not any(map(alive, pids))


def test_a_peer_that_is_not_installed_says_so(tmp_path: Path) -> None:
    peer = _peer(_BUSY, None)
    assert not peer.installed()
    with pytest.raises(AssertionError, match="not installed"), peer.serving(_UPSTREAM, tmp_path):
        pytest.fail("it was given")


def _python(source: Path) -> Packages:
    (source / "requirements.lock").write_text("nothing @ file:///nowhere/nothing-1-py3-none-any.whl\n")
    return PythonPackages("peer-nobody", source)


def _node(source: Path) -> Packages:
    for file in ("package.json", "package-lock.json", ".npmrc"):
        (source / file).write_text("")
    return NodePackages("peer-nobody", source)


@pytest.mark.parametrize(
    ("packages", "reason"),
    [
        pytest.param(_python, "nowhere", id="Python"),
        pytest.param(_node, "node and npm not found", id="Node"),
    ],
)
def test_what_cannot_be_installed_is_told_with_the_reason_and_is_not_there(
    packages: Callable[[Path], Packages], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    (source := tmp_path / "thing").mkdir()
    with pytest.raises(CannotMakeError, match=reason):
        packages(source).install()
    assert packages(source).installed() is None
