"""The plug-ins of the documentation, in Node and in Go: made as it says, run as they are, each a provider
by the row that it shows, and without a fault.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
import yaml

from interference.v1.images_pb2 import GenerateImagesRequest
from interference.v1.images_pb2_grpc import ImagesStub
from tests.calls import TIMEOUT, ask
from tests.programs import Program, environment, running
from tests.service import COMMAND, Service, serving
from tests.upstreams.plugins import DESCRIPTOR, GO, NODE, ROOT, go_program, node_modules

PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
ROWS = [
    row
    for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for row in yaml.safe_load(text)["providers"]
]
EXAMPLES = [NODE / "plugin.mjs", GO / "main.go"]
MOST = 60  # lines, which none reaches
USAGE = {"stream_options": {"include_usage": True}}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def backwards(
    made: Callable[[Callable[[], Path]], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of the plug-in in Node."""
    folder = tmp_path_factory.mktemp("backwards")
    shutil.copy(NODE / "plugin.mjs", folder)
    (folder / "node_modules").symlink_to(made(node_modules))
    command: list[str | Path] = ["node", folder / "plugin.mjs", "127.0.0.1:0", DESCRIPTOR]
    with running(command, folder / "log", "Ready on port", environment()) as program:
        yield _address(program)


@pytest.fixture(scope="module")
def rings(
    made: Callable[[Callable[[], Path]], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of the plug-in in Go."""
    log = tmp_path_factory.mktemp("rings") / "log"
    with running([made(go_program), "127.0.0.1:0"], log, "Ready on", environment()) as program:
        yield _address(program)
        program.process.kill()  # it has no end of its own
        program.process.wait()


def _address(program: Program) -> str:
    found = re.search(r"Ready on \S*?(\d+)\s", program.said.replace("port ", ""))
    assert found, program.said
    return f"127.0.0.1:{found[1]}"


@pytest.fixture(scope="module")
def service(backwards: str, rings: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with the rows of the page."""
    at = {"Backwards": backwards, "Rings": rings}
    rows = [row | {"base_url": f"grpc://{at[row['id']]}"} for row in ROWS if row["id"] in at]
    with serving(tmp_path_factory.mktemp("plugged"), rows) as running_service:
        yield running_service


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short(example: Path) -> None:
    assert len(example.read_text().splitlines()) < MOST


@pytest.mark.parametrize(
    "arguments", [["--model", "backwards"], ["--model", "backwards", "--only", "chat"]]
)
def test_the_plugin_in_node_has_no_fault(backwards: str, arguments: list[str]) -> None:
    said = verified(backwards, *arguments)
    assert "ok       stream/answer" in said


def test_the_plugin_in_go_has_no_fault(rings: str) -> None:
    said = verified(rings)
    assert "ok       images/size              256 x 256" in said


def test_the_page_shows_what_verify_provider_says(rings: str) -> None:
    shown = re.findall(r"^(?:ok|not had) .*$", PAGE, re.MULTILINE)
    assert shown
    assert [line for line in shown if line not in verified(rings).splitlines()] == []


def verified(*arguments: str) -> str:
    done = subprocess.run(
        [COMMAND, "verify-provider", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, "FAULT" in done.stdout) == (0, False), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_the_gateway_chats_with_the_plugin_in_node(service: Service, way: str, stream: bool) -> None:
    more: dict[str, Any] = USAGE if stream else {}
    outcome = ask(service, way, "Backwards", stream=stream, model="backwards", **more)
    assert (outcome.code, outcome.provider, outcome.text) == (
        200 if way == "rest" else "OK",
        "Backwards",
        "Hi",
    )
    assert outcome.chunks[-1]["usage"] == {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_words_come_in_the_other_order(service: Service, stream: bool) -> None:
    said = {"messages": [{"role": "user", "content": "one two three"}]}
    request: Any = {"model": "backwards", "stream": stream, **said}
    answer = requests.post(f"{service.base_url}/chat/completions", json=request, timeout=TIMEOUT)
    pieces = re.findall(r'"content":"([^"]*)"', answer.text)
    assert "".join(pieces) == "three two one"


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_what_the_plugin_does_not_take_is_told_as_a_parameter(service: Service, way: str) -> None:
    outcome = ask(service, way, "Backwards", model="backwards", temperature=0.5)
    assert outcome.code == (400 if way == "rest" else "INVALID_ARGUMENT")
    assert outcome.error["error"]["param"] == "temperature"


@pytest.mark.parametrize("count", [1, 2])
def test_the_gateway_draws_with_the_plugin_in_go_over_rest(service: Service, count: int) -> None:
    request: Any = {"prompt": "a city", "provider": "Rings", "size": "64x64", "n": count}
    made = requests.post(f"{service.base_url}/images/generations", json=request, timeout=TIMEOUT).json()
    files = [requests.get(image["url"], timeout=TIMEOUT).content for image in made["data"]]
    assert [file[:8] for file in files] == [PNG] * count
    assert len(set(files)) == count
    assert made["provider"] == "Rings"


def test_the_gateway_draws_with_the_plugin_in_go_over_grpc(service: Service) -> None:
    request = GenerateImagesRequest(prompt="a city", providers=["Rings"], response_format="b64_json")
    with grpc.insecure_channel(service.envoy) as channel:
        made = ImagesStub(channel).GenerateImages(request, timeout=TIMEOUT)
    assert (made.provider, made.model, len(made.data)) == ("Rings", "rings", 1)
    assert made.data[0].b64_json.startswith("iVBORw0KGgo")


def test_what_the_plugin_in_go_refuses_goes_to_the_caller(service: Service) -> None:
    request = {"prompt": "a city", "provider": "Rings", "size": "64x32"}
    answer = requests.post(f"{service.base_url}/images/generations", json=request, timeout=TIMEOUT)
    assert answer.status_code == 400
    assert "a square of 16 to 1024" in answer.json()["error"]["message"]
