"""A caller that goes away ends the call to the provider at once, before and after the first content."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
import requests

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.message_pb2 import ChatMessage, ContentPart
from tests.calls import TIMEOUT, body
from tests.programs import wait_until
from tests.service import Service
from tests.upstream import Upstream

MESSAGES = [ChatMessage(role="user", content=[ContentPart(text="Hi")])]


@contextmanager
def rest_caller(service: Service, provider: str, *, stream: bool) -> Iterator[None]:
    """A REST caller who waits for an answer; leaving the block is leaving."""
    host, port = service.envoy.split(":")
    with socket.create_connection((host, int(port))) as connection:
        content = requests.Request("POST", "http://x", json=body(provider, stream=stream)).prepare().body
        assert isinstance(content, bytes)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)
        yield


@contextmanager
def grpc_caller(service: Service, provider: str, *, stream: bool, through: str = "envoy") -> Iterator[None]:
    """The same over gRPC."""
    request = CreateCompletionRequest(model="m", providers=provider.split(), messages=MESSAGES)
    with grpc.insecure_channel(getattr(service, through)) as channel:
        stub = ChatStub(channel)
        if stream:
            call: Any = stub.StreamCompletion(request, timeout=TIMEOUT)
        else:
            call = stub.CreateCompletion.future(request, timeout=TIMEOUT)
        yield
        call.cancel()


def straight(service: Service, provider: str, *, stream: bool) -> Any:
    return grpc_caller(service, provider, stream=stream, through="worker")


@pytest.mark.parametrize("caller", [rest_caller, grpc_caller, straight], ids=["rest", "grpc", "straight"])
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize(
    "provider", ["Patient", pytest.param("Half", id="after the first content"), "Gone Patient"]
)
def test_the_upstream_connection_closes(
    resilient: Service, upstream: Upstream, caller: Callable[..., Any], stream: bool, provider: str
) -> None:
    before = upstream.open
    with caller(resilient, provider, stream=stream):
        wait_until(lambda: upstream.open == before + 1, lambda: "nobody was asked")
    wait_until(lambda: upstream.open == before, lambda: "the call to the provider goes on")


@pytest.mark.parametrize("caller", [rest_caller, grpc_caller], ids=["rest", "grpc"])
def test_nobody_is_asked_any_more_for_a_caller_who_left(
    resilient: Service, upstream: Upstream, caller: Callable[..., Any]
) -> None:
    before = upstream.open
    with caller(resilient, "Patient A", stream=False):
        wait_until(lambda: upstream.open == before + 1, lambda: "nobody was asked")
        asked = len(upstream.seen)
    wait_until(lambda: upstream.open == before, lambda: "the call to the provider goes on")
    assert len(upstream.seen) == asked
