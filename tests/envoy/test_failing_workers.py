"""What callers see when there is no worker, and when the one that has their call dies."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from interference.v1 import chat_pb2, chat_pb2_grpc
from tests.envoy.real_envoy import ROOT, Answer, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.envoy.real_envoy import Edge

SHAPES = [
    pytest.param("/v1/chat/completions", "openai", id="OpenAI's shape"),
    pytest.param("/v1/messages", "anthropic", id="Anthropic's shape"),
]


@contextlib.contextmanager
def a_worker() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A stub worker in a process of its own, and its port; it prints a line for each call."""
    command = [sys.executable, "-m", "tests.envoy.stub_worker"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def _check(answer: Answer, shape: str, code: str, reason: str) -> None:
    body = answer.json()
    assert (answer.status, answer.headers["content-type"]) == (503, "application/json")
    assert body.get("type") == ("error" if shape == "anthropic" else None)
    assert (body["error"]["type"], body["error"]["code"], body["error"]["param"]) == (
        "api_error",
        code,
        None,
    )
    assert reason in body["error"]["message"]
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(("path", "shape"), SHAPES)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_no_worker_is_503(tmp_path: Path, path: str, shape: str, stream: bool) -> None:
    with running(tmp_path, 1, ready=False) as edge:
        answer = edge("POST", path, {"model": "m", "stream": stream})
        _check(answer, shape, "unavailable", "No worker could take the call")


@pytest.mark.parametrize(("path", "shape"), SHAPES)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_a_call_whose_worker_dies_is_told_so(tmp_path: Path, path: str, shape: str, stream: bool) -> None:
    with a_worker() as (process, port), running(tmp_path, port) as edge:
        answer = _while_it_dies(process, lambda: edge("POST", path, {"model": "slow", "stream": stream}))
        _check(answer, shape, "worker_lost", "ended before it answered")


def test_a_stream_whose_worker_dies_does_not_end_as_if_it_were_whole(tmp_path: Path) -> None:
    with a_worker() as (process, port), running(tmp_path, port) as edge:
        connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("POST", "/v1/chat/completions", '{"model":"endless","stream":true}')
            answer = connection.getresponse()
            assert answer.read(6) == b"data: "
            process.kill()
            with pytest.raises(http.client.IncompleteRead):
                answer.read()


def test_a_grpc_call_whose_worker_dies_is_unavailable(tmp_path: Path) -> None:
    with a_worker() as (process, port), running(tmp_path, port) as edge:
        status = _while_it_dies(process, lambda: _over_grpc(edge))
        assert status.code() is grpc.StatusCode.UNAVAILABLE
        assert "{" not in status.details()


def _over_grpc(edge: Edge) -> Any:
    request = chat_pb2.CreateCompletionRequest(model="slow")
    with grpc.insecure_channel(f"127.0.0.1:{edge.port}") as channel:
        try:
            chat_pb2_grpc.ChatStub(channel).CreateCompletion(request, timeout=20)
        except grpc.RpcError as error:
            return error
    raise AssertionError("it was answered")


def _while_it_dies(process: subprocess.Popen[str], ask: Callable[[], Any]) -> Any:
    """What a call brings whose worker is killed as soon as it has it."""
    brought: list[Any] = []
    thread = threading.Thread(target=lambda: brought.append(ask()))
    thread.start()
    assert process.stdout is not None
    assert process.stdout.readline() == "called\n"
    process.kill()
    thread.join(20)
    assert brought, "the call hangs"
    return brought[0]
