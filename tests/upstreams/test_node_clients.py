"""OpenAI's Node SDK over REST, and gRPC in Node: what a caller of either gets."""

import json
import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.service import Service
from tests.upstream import RETRY_AFTER
from tests.upstreams.client import Client

ANSWER = "Hello from a tiny model."
HI = [{"role": "user", "content": "Hi"}]
GRPC_HI = [{"role": "user", "content": [{"text": "Hi"}]}]
PROTO = Path(__file__).parents[2] / "proto"
NOT_FOUND = 5  # https://grpc.io/docs/guides/status-codes/


@pytest.fixture
def openai(client: Callable[[str], Client]) -> Client:
    return client("openai_chat.mjs")


def at(service: Service, key: str = "none") -> dict[str, str]:
    return {"base_url": service.base_url, "key": key}


def test_openai_lists_the_models(openai: Client, interference: Service) -> None:
    assert {"gpt-4o-mini", "wired", "flux"} <= set(openai.does("models", **at(interference)))


def test_openai_chats_with_a_provider_named(openai: Client, interference: Service) -> None:
    request = {"model": "gpt-4o-mini", "provider": "AnotherProvider", "messages": HI}
    completion = openai.does("whole", **at(interference), request=request)
    assert completion["choices"][0]["message"]["content"] == ANSWER
    assert completion["provider"] == "AnotherProvider"
    assert completion["usage"]["completion_tokens"] == 7


def test_openai_streams(openai: Client, interference: Service) -> None:
    usage = {"include_usage": True}
    request = {"model": "gpt-4o-mini", "messages": HI, "stream_options": usage}
    *pieces, last = openai.does("chunks", **at(interference), request=request)
    choices = [choice for piece in pieces for choice in piece["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == ANSWER
    assert choices[-1]["finish_reason"] == "stop"
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 7


def test_openai_puts_a_stream_together(openai: Client, interference: Service) -> None:
    usage = {"include_usage": True}
    request = {"model": "gpt-4o-mini", "messages": HI, "stream_options": usage}
    completion = openai.does("together", **at(interference), request=request)
    assert completion["choices"][0]["message"]["content"] == ANSWER
    assert completion["usage"]["completion_tokens"] == 7


def test_openai_makes_an_image(openai: Client, interference: Service) -> None:
    request = {"model": "flux", "prompt": "a city"}
    made = openai.does("image", **at(interference), request=request)
    assert made["data"][0]["url"].startswith("http://")


@pytest.mark.parametrize("task", ["whole", "chunks"])
@pytest.mark.parametrize(
    ("request_body", "kind", "status", "error_type", "param"),
    [
        pytest.param(
            {"model": "wired", "messages": []},
            "BadRequestError",
            400,
            "invalid_request_error",
            "messages",
            id="400",
        ),
        pytest.param(
            {"model": "no-such-model", "messages": HI},
            "NotFoundError",
            404,
            "not_found_error",
            "model",
            id="404",
        ),
        pytest.param(
            {"model": "busy", "messages": HI, "provider": "Crowded"},
            "RateLimitError",
            429,
            "rate_limit_error",
            None,
            id="429",
        ),
        pytest.param(
            {"model": "busy", "messages": HI, "provider": "Overloaded"},
            "InternalServerError",
            503,
            "api_error",
            None,
            id="503",
        ),
    ],
)
def test_openai_raises_the_exception_of_the_status(
    openai: Client,
    interference: Service,
    request_body: dict[str, Any],
    kind: str,
    status: int,
    error_type: str,
    param: str | None,
    task: str,
) -> None:
    error = openai.raises(task, **at(interference), request=request_body)
    assert (error.name, error.status) == (kind, status)
    assert (error.body["type"], error.body["param"]) == (error_type, param)
    assert error.body["code"]
    assert (error.retry_after is not None) == (status == 429)


def test_openai_is_told_when_to_come_back(openai: Client, interference: Service) -> None:
    request = {"model": "busy", "messages": HI, "provider": "Crowded"}
    error = openai.raises("whole", **at(interference), request=request)
    assert 0 < int(error.retry_after or 0) <= RETRY_AFTER


def test_openai_is_refused_without_the_right_key(openai: Client, guarded: Service) -> None:
    error = openai.raises("models", **at(guarded, "wrong"))
    assert (error.name, error.status) == ("AuthenticationError", 401)
    assert (error.body["type"], error.body["code"]) == ("authentication_error", "invalid_api_key")


def test_openai_is_let_in_with_the_right_key(openai: Client, guarded: Service, guarded_key: str) -> None:
    assert "canvas" in openai.does("models", **at(guarded, guarded_key))


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


def grpc(folder: Path, service: Service, task: str, request: dict[str, Any]) -> Any:
    # google/api and google/rpc are in the Python package googleapis-common-protos.
    includes = os.pathsep.join([str(PROTO), sysconfig.get_path("purelib")])
    done = subprocess.run(
        ["node", "grpc.mjs", service.envoy, includes, task, json.dumps(request)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
