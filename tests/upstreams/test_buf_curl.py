"""`buf curl` knows nothing of the contract: it asks the service for it by reflection, through Envoy."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.service import Service

BUF = Path(sys.executable).with_name("buf")
HI = {
    "model": "wired",
    "providers": ["AnotherProvider"],
    "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
}


def test_it_finds_the_services(interference: Service) -> None:
    listed = buf("--list-services", f"http://{interference.envoy}").stdout.split()
    names = {"Providers", "Models", "Chat", "Images"}
    assert {f"interference.v1.{name}" for name in names} <= set(listed)


def test_it_lists_the_providers(interference: Service) -> None:
    listed = called(interference, "Providers/ListProviders", {})
    assert {"HuggingChat", "AnotherProvider"} <= {provider["id"] for provider in listed}


def test_it_chats(interference: Service) -> None:
    (completion,) = called(interference, "Chat/CreateCompletion", HI)
    assert completion["choices"][0]["message"]["content"] == "Hello from a tiny model."


def test_it_streams(interference: Service) -> None:
    chunks = called(interference, "Chat/StreamCompletion", HI)
    choices = [choice for chunk in chunks for choice in chunk.get("choices", [])]
    text = "".join(choice["delta"].get("content", "") for choice in choices)
    assert text == "Hello from a tiny model."


def test_it_prints_why_a_call_failed(interference: Service) -> None:
    url = f"http://{interference.envoy}/interference.v1.Chat/CreateCompletion"
    done = buf("--data", json.dumps({**HI, "providers": ["Hugging"]}), url)
    assert done.returncode != 0
    error = json.loads(done.stderr)
    assert error["code"] == "not_found"
    assert "google.rpc.ErrorInfo" in {detail["type"] for detail in error["details"]}


def called(service: Service, method: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Calls a method and gives the messages that it answers with."""
    url = f"http://{service.envoy}/interference.v1.{method}"
    done = buf("--data", json.dumps(request), url)
    assert done.returncode == 0, done.stderr
    messages, rest = [], done.stdout.strip()
    while rest:
        message, end = json.JSONDecoder().raw_decode(rest)
        messages.append(message)
        rest = rest[end:].strip()
    return messages


def buf(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command: list[str | Path] = [BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
