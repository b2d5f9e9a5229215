"""gRPC and gRPC-Web through the same port."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from interference.v1 import (
    chat_pb2,
    chat_pb2_grpc,
    images_pb2,
    images_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
)
from tests.envoy.real_envoy import running
from tests.envoy.stub_worker import TOLD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.envoy.real_envoy import Edge
    from tests.envoy.stub_worker import Calls

LIMIT = 2_000_000  # as in conftest.py
CreateCompletionRequest = chat_pb2.CreateCompletionRequest


@pytest.fixture
def channel(edge: Edge) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{edge.port}") as opened:
        yield opened


def test_a_unary_call_passes_untouched(channel: grpc.Channel, calls: Calls) -> None:
    request = CreateCompletionRequest(model="m", providers=["A B"], extra_json="[")
    answer = chat_pb2_grpc.ChatStub(channel).CreateCompletion(
        request, timeout=5, metadata=(("x-envoy-original-path", "/x"), ("x-interference-a", "1"))
    )
    assert (answer.model, calls.requests[-1]) == ("m", request)
    assert not {"x-envoy-original-path", "x-interference-a"} & calls.metadata[-1].keys()


def test_a_stream_passes_untouched(channel: grpc.Channel) -> None:
    stub = chat_pb2_grpc.ChatStub(channel)
    chunks = list(stub.StreamCompletion(CreateCompletionRequest(model="m"), timeout=5))
    assert [chunk.id for chunk in chunks] == ["1", "1", "1"]


def test_an_error_keeps_its_details(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        models_pb2_grpc.ModelsStub(channel).GetModel(models_pb2.GetModelRequest(model="unknown"), timeout=5)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    metadata: Any = caught.value.trailing_metadata()
    assert b"ErrorResponse" in dict(metadata)["grpc-status-details-bin"]


def test_envoys_own_refusals_are_statuses_with_plain_messages(
    channel: grpc.Channel, tmp_path: Path
) -> None:
    call: Any = channel.unary_unary("/other.v1.Service/Method")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "{" not in str(caught.value.details())
    with (
        running(tmp_path, 1, ready=False) as edge,
        grpc.insecure_channel(f"127.0.0.1:{edge.port}") as other,
        pytest.raises(grpc.RpcError) as caught,
    ):
        chat_pb2_grpc.ChatStub(other).CreateCompletion(CreateCompletionRequest(), timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "no healthy upstream"


def frame(message: bytes) -> bytes:
    return b"\x00" + len(message).to_bytes(4, "big") + message


WEB = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
PATH = "/interference.v1.Chat/CreateCompletion"


def test_grpc_web_passes(edge: Edge, calls: Calls) -> None:
    request = CreateCompletionRequest(model="m")
    answer = edge("POST", PATH, frame(request.SerializeToString()), WEB)
    assert answer.headers["content-type"] == "application/grpc-web+proto"
    assert calls.requests[-1] == request
    assert answer.body.startswith(frame(b"")[:1])
    assert b"grpc-status:0" in answer.body.replace(b" ", b"")


def test_grpc_callers_are_told_who_answered(channel: grpc.Channel) -> None:
    call = chat_pb2_grpc.ChatStub(channel).StreamCompletion(
        CreateCompletionRequest(model="told"), timeout=5
    )
    metadata: Any = call.initial_metadata()
    assert set(TOLD) <= {(key, value) for key, value in metadata}


def test_pages_are_told_who_answered_over_grpc_web(edge: Edge) -> None:
    request = frame(CreateCompletionRequest(model="told").SerializeToString())
    answer = edge("POST", PATH, request, {**WEB, "origin": "http://localhost:3000"})
    assert dict(TOLD).items() <= answer.headers.items()
    assert answer.headers["access-control-expose-headers"] == "*"


def test_grpc_web_of_another_page_is_refused(edge: Edge, calls: Calls) -> None:
    answer = edge("POST", PATH, frame(b""), {**WEB, "origin": "https://example.org"})
    assert answer.headers["grpc-status"] == "7"
    assert "example.org" in answer.headers["grpc-message"]
    assert not calls.requests


def test_messages_may_be_large_both_ways(edge: Edge, calls: Calls) -> None:
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    request = images_pb2.GenerateImagesRequest(prompt="p" * 8_000_000, n=12)
    with grpc.insecure_channel(f"127.0.0.1:{edge.port}", unlimited) as large:
        answer = images_pb2_grpc.ImagesStub(large).GenerateImages(request, timeout=10)
    assert len(answer.data[0].b64_json) == 12_000_000
    assert calls.requests[-1] == request


def test_rest_over_http2_may_have_a_body_as_large_as_the_limit(edge: Edge, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl speaks HTTP/2 here, and is not installed")
    body = tmp_path / "body.json"
    body.write_text('{"model":"' + "m" * (LIMIT - 12) + '"}')
    url = f"http://127.0.0.1:{edge.port}/v1/chat/completions"
    done = subprocess.run(
        [curl, "-si", "--http2-prior-knowledge", "--data-binary", f"@{body}", url],
        capture_output=True,
        timeout=10,
        check=True,
    )
    assert done.stdout.startswith(b"HTTP/2 200")


def test_rest_over_http2_ends_without_trailers_of_grpc(edge: Edge) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl speaks HTTP/2 here, and is not installed")
    url = f"http://127.0.0.1:{edge.port}/v1/chat/completions"
    for body in ('{"model":"m"}', '{"model":"m","stream":true}'):
        done = subprocess.run(
            [curl, "-si", "--http2-prior-knowledge", "-d", body, url],
            capture_output=True,
            timeout=10,
            check=True,
        )
        assert done.stdout.startswith(b"HTTP/2 200")
        assert b"grpc-" not in done.stdout
