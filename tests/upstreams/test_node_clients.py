"""OpenAI's Node SDK over REST, and gRPC in Node: each call is one run of a script in `node/`."""

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.service import Service
from tests.upstream import RETRY_AFTER
from tests.upstreams.node_modules import FOLDER

ANSWER = "Hello from a tiny model."
HI = [{"role": "user", "content": "Hi"}]
GRPC_HI = [{"role": "user", "content": [{"text": "Hi"}]}]
PROTO = Path(__file__).parents[2] / "proto"
NOT_FOUND = 5  # https://grpc.io/docs/guides/status-codes/


@pytest.fixture(scope="session")
def scripts(modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a person's project is: the scripts, and `node_modules` beside them."""
    folder = tmp_path_factory.mktemp("node")
    for script in FOLDER.glob("*.mjs"):
        shutil.copy(script, folder)
    (folder / "node_modules").symlink_to(modules)
    return folder


def test_openai_lists_the_models(scripts: Path, interference: Service) -> None:
    assert {"gpt-4o-mini", "wired", "flux"} <= set(openai(scripts, interference, "models", {}))


def test_openai_chats(scripts: Path, interference: Service) -> None:
    request = {"model": "gpt-4o-mini", "provider": "AnotherProvider", "messages": HI}
    completion = openai(scripts, interference, "chat", request)
    assert completion["choices"][0]["message"]["content"] == ANSWER
    assert completion["provider"] == "AnotherProvider"
    assert completion["usage"]["completion_tokens"] == 7


def test_openai_streams(scripts: Path, interference: Service) -> None:
    usage = {"include_usage": True}
    request = {"model": "gpt-4o-mini", "messages": HI, "stream_options": usage}
    *pieces, last = openai(scripts, interference, "stream", request)
    choices = [choice for piece in pieces for choice in piece["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == ANSWER
    assert choices[-1]["finish_reason"] == "stop"
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 7


def test_openai_puts_a_stream_together(scripts: Path, interference: Service) -> None:
    usage = {"include_usage": True}
    request = {"model": "gpt-4o-mini", "messages": HI, "stream_options": usage}
    completion = openai(scripts, interference, "together", request)
    assert completion["choices"][0]["message"]["content"] == ANSWER
    assert completion["usage"]["completion_tokens"] == 7


def test_openai_makes_an_image(scripts: Path, interference: Service) -> None:
    made = openai(scripts, interference, "image", {"model": "flux", "prompt": "a city"})
    assert made["data"][0]["url"].startswith("http://")


@pytest.mark.parametrize(
    ("asked", "kind", "status", "error_type"),
    [
        pytest.param(
            {"model": "wired", "messages": []},
            "BadRequestError",
            400,
            "invalid_request_error",
            id="400",
        ),
        pytest.param(
            {"model": "no-such-model", "messages": HI},
            "NotFoundError",
            404,
            "not_found_error",
            id="404",
        ),
        pytest.param(
            {"model": "busy", "messages": HI, "provider": "Crowded"},
            "RateLimitError",
            429,
            "rate_limit_error",
            id="429",
        ),
        pytest.param(
            {"model": "busy", "messages": HI, "provider": "Overloaded"},
            "InternalServerError",
            503,
            "api_error",
            id="503",
        ),
    ],
)
def test_openai_raises_the_exception_of_the_status(
    scripts: Path,
    interference: Service,
    asked: dict[str, Any],
    kind: str,
    status: int,
    error_type: str,
) -> None:
    error = openai(scripts, interference, "chat", asked)
    assert (error["class"], error["status"], error["type"]) == (kind, status, error_type)
    assert error["code"]
    assert (error["retryAfter"] is not None) == (status == 429)


def test_openai_raises_the_exception_of_the_status_for_a_stream_that_cannot_begin(
    scripts: Path, interference: Service
) -> None:
    request = {"model": "busy", "messages": HI, "provider": "Crowded"}
    error = openai(scripts, interference, "stream", request)
    assert (error["class"], error["status"]) == ("RateLimitError", 429)
    assert 0 < int(error["retryAfter"]) <= RETRY_AFTER


def test_openai_is_refused_without_the_right_key(scripts: Path, guarded: Service) -> None:
    error = openai(scripts, guarded, "models", {}, key="wrong")
    assert (error["class"], error["status"]) == ("AuthenticationError", 401)
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")


def test_openai_is_let_in_with_the_right_key(scripts: Path, guarded: Service, guarded_key: str) -> None:
    assert "canvas" in openai(scripts, guarded, "models", {}, key=guarded_key)


def test_grpc_lists_the_providers(scripts: Path, interference: Service) -> None:
    listed = {provider["id"] for provider in grpc(scripts, interference, "providers", {})}
    assert {"HuggingChat", "AnotherProvider", "HuggingSpace"} <= listed


def test_grpc_chats(scripts: Path, interference: Service) -> None:
    request = {"model": "wired", "providers": ["AnotherProvider"], "messages": GRPC_HI}
    completion = grpc(scripts, interference, "chat", request)
    assert completion["choices"][0]["message"]["content"] == ANSWER
    assert completion["provider"] == "AnotherProvider"


def test_grpc_streams(scripts: Path, interference: Service) -> None:
    chunks = grpc(scripts, interference, "stream", {"model": "wired", "messages": GRPC_HI})
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == ANSWER
    assert choices[-1]["finish_reason"] == "stop"


def test_grpc_fails_with_the_status(scripts: Path, interference: Service) -> None:
    request = {"model": "wired", "providers": ["Hugging"], "messages": GRPC_HI}
    error = grpc(scripts, interference, "chat", request)
    assert error["code"] == NOT_FOUND
    assert "HuggingChat" in error["details"]  # the closest known name


def openai(folder: Path, service: Service, task: str, request: dict[str, Any], key: str = "none") -> Any:
    return node(folder, "openai.mjs", service.base_url, key, task, json.dumps(request))


def grpc(folder: Path, service: Service, task: str, request: dict[str, Any]) -> Any:
    # google/api and google/rpc are in the Python package googleapis-common-protos.
    includes = os.pathsep.join([str(PROTO), sysconfig.get_path("purelib")])
    return node(folder, "grpc.mjs", service.envoy, includes, task, json.dumps(request))


def node(folder: Path, *arguments: str) -> Any:
    done = subprocess.run(
        ["node", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
