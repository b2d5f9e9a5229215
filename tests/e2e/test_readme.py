"""The README's examples do what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from server import drivers, rows
from tests.calls import TIMEOUT
from tests.programs import environment
from tests.service import Service

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
CURL = re.findall(r"^\$ (curl .*)$", TEXT, re.MULTILINE)
YAML = {
    name: re.findall(r"```yaml\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)
    for name in ("README.md", "docs/plugins.md", "docs/providers.md")
}


def run(command: list[str]) -> str:
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("block", PYTHON, ids=["OpenAI's SDK", "gRPC"])
def test_a_python_example_prints_the_answer(service: Service, block: str) -> None:
    code = block.replace("localhost:1337", service.envoy)
    assert run([sys.executable, "-c", code]).strip() == "Hello there"


@pytest.mark.parametrize("command", CURL, ids=["whole", "stream"])
def test_a_curl_example_prints_the_answer(service: Service, command: str) -> None:
    printed = run(["sh", "-c", command.replace("localhost:1337", service.envoy)])
    assert '"provider":"Echo"' in printed
    assert printed.endswith("data: [DONE]\n\n") == ('"stream": true' in command)


@pytest.mark.parametrize("name", YAML)
def test_the_examples_of_rows_are_valid(name: str) -> None:
    assert YAML[name]
    for text in YAML[name]:
        assert rows.read(rows.parse(text, name), name, drivers.KINDS)
