"""The flame graph of a real worker, and what is said where there can be none."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.profile.spy import Refused, Spy, why
from tests.programs import environment

ROOT = Path(__file__).parents[2]


def test_a_worker_under_load_is_drawn(tmp_path: Path) -> None:
    output = tmp_path / "profile.svg"
    command = [sys.executable, "-m", "tests.profile", "--load", "stream", "--seconds", "1"]
    command += ["--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120)
    if "SYS_PTRACE" in done.stderr or "macOS lets nobody" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    drawn = output.read_text(encoding="utf-8")
    assert "server/interceptors.py" in drawn
    assert "server/worker.py" in drawn


def test_a_process_that_is_gone_is_told(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with pytest.raises(Refused, match="py-spy: "), Spy(tmp_path / "profile.svg", 1).looking(gone.pid):
        pass


@pytest.mark.parametrize(
    ("said", "platform", "expected"),
    [
        pytest.param(
            "Error: Permission Denied: Try running again with elevated permissions", "linux", "SYS_PTRACE"
        ),
        pytest.param("Error: Operation not permitted (os error 1)", "linux", "SYS_PTRACE"),
        pytest.param("This program requires root on OSX.", "darwin", "sudo make profile"),
        pytest.param("Error: No such process", "linux", "No such process"),
        pytest.param("", "linux", "without a word"),
    ],
    ids=["refused", "not permitted", "macOS", "another failure", "silence"],
)
def test_what_to_do_is_told(said: str, platform: str, expected: str) -> None:
    assert expected in why(said, platform)
    assert ("SYS_PTRACE" in why(said, platform)) == (expected == "SYS_PTRACE")
