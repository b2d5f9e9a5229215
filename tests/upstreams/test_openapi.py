"""The OpenAPI document against the running service: schemathesis finds nothing that the two disagree on.

https://schemathesis.readthedocs.io
"""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests import upstream as scripts
from tests.programs import environment
from tests.service import Service, row, serving
from tests.upstream import USAGE, Call, Upstream, script
from tests.upstreams.python_environment import FOLDER, python_of

CLIENT = "schemathesis"


@script
async def everything(call: Call) -> None:
    """Continues texts and embeds, as a model server does."""
    if call.seen.path.endswith("/embeddings"):
        given = call.seen.body["input"]
        one = isinstance(given, str) or isinstance(given[0], int)
        vectors = [
            {"object": "embedding", "index": index, "embedding": [0.5, -0.25]}
            for index in range(1 if one else len(given))
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        call.answer({"object": "list", "data": vectors, "model": "e", "usage": usage})
    elif call.seen.path.endswith("/v1/completions"):
        choice = {"index": 0, "text": "Hello", "finish_reason": "stop"}
        answer = {
            "id": "up-1",
            "object": "text_completion",
            "created": 5,
            "model": "t",
            "choices": [choice],
        }
        if call.stream:
            call.begin()
            call.event(**answer)
            call.end()
        else:
            call.answer(answer | {"usage": USAGE})
    else:
        await scripts.ok(call)


@pytest.fixture(scope="module")
def described(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with Echo, Canvas and a provider that does the rest."""
    models = {"text_models": ["t"], "embedding_models": ["e"]}
    rows = [row("Everything", f"{upstream.url}/everything/v1", **models)]
    with serving(tmp_path_factory.mktemp("described"), rows) as service:
        yield service


def test_schemathesis_finds_nothing(
    described: Service,
    upstream: Upstream,
    made: Callable[[Callable[[], Path]], Path],
    tmp_path: Path,
) -> None:
    python = made(lambda: python_of(CLIENT))
    config = FOLDER / CLIENT / "schemathesis.toml"
    command: list[str | Path] = [
        python.with_name("schemathesis"),
        "--config-file",
        config,
        "run",
        "--no-color",
    ]
    done = subprocess.run(
        [*command, f"{described.url}/openapi.json"],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(FOLDER / CLIENT), SCHEMATHESIS_HOOKS="hooks"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    document = requests.get(f"{described.url}/openapi.json", timeout=10).json()
    others = [item for path, item in document["paths"].items() if path != "/openapi.json"]
    operations = sum(name != "servers" for item in others for name in item)
    assert f"Tested: {operations}\n" in done.stdout, done.stdout
    paths = {seen.path.rpartition("/v1")[2] for seen in upstream.seen if seen.script == "everything"}
    assert {"/completions", "/embeddings"} <= paths
