"""What is asked of the service: each case is one call, over one way in, and always the same one."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import grpc

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.message_pb2 import ChatMessage, ContentPart
from tests.service import Service

KILO, MEGA = 1000, 1_000_000
ROWS = 30
ONE, ANY = "Up/m", "m"  # one provider; any of all that have it
_TIMEOUT = 30  # seconds, after which a call hangs
_TRANSCODED = (("x-envoy-original-path", "/v1/chat/completions"),)
_CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Told:
    """What came back: messages of gRPC, or events, and their bytes. Of a whole answer it is one."""

    messages: int
    size: int


@dataclass(frozen=True)
class Case:
    """A call. `way` is gRPC straight to a worker, the same as if Envoy had transcoded it, or REST."""

    name: str
    way: Literal["grpc", "transcoded", "rest"]
    model: str = ONE
    stream: bool = False
    size: int = 100  # bytes of the prompt
    path: str = _CHAT


UNARY, STREAM = Case("unary, gRPC", "grpc"), Case("stream, gRPC", "grpc", stream=True)
SMALL, LARGE = Case("1 kB, gRPC", "grpc", size=KILO), Case("1 MB, gRPC", "grpc", size=MEGA)
CASES = (
    UNARY,
    Case("unary, gRPC, 30 providers", "grpc", ANY),
    Case("unary, transcoded", "transcoded"),
    Case("unary, REST", "rest"),
    Case("unary, REST, Messages", "rest", path="/v1/messages"),
    Case("unary, REST, Responses", "rest", path="/v1/responses"),
    STREAM,
    Case("stream, gRPC, 30 providers", "grpc", ANY, stream=True),
    Case("stream, REST", "rest", stream=True),
    Case("stream, REST, Messages", "rest", stream=True, path="/v1/messages"),
    Case("stream, REST, Responses", "rest", stream=True, path="/v1/responses"),
    SMALL,
    LARGE,
    Case("1 MB, REST", "rest", size=MEGA),
)


@contextmanager
def caller(case: Case, service: Service) -> Iterator[Callable[[], Told]]:
    """What makes the call, over a connection that is kept. It fails where the call does."""
    if case.way == "rest":
        with closing(http.client.HTTPConnection(service.envoy, timeout=_TIMEOUT)) as connection:
            yield lambda: _over_rest(connection, case)
    else:
        options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(service.worker, options=options) as channel:
            yield _over_grpc(channel, case)


def _over_grpc(channel: grpc.Channel, case: Case) -> Callable[[], Told]:
    """What came is not read, but for its length: the messages of the contract may change."""
    part = ContentPart(text=_prompt(case))
    message = CreateCompletionRequest(
        model=case.model, messages=[ChatMessage(role="user", content=[part])]
    ).SerializeToString()
    name = "StreamCompletion" if case.stream else "CreateCompletion"
    make: Any = channel.unary_stream if case.stream else channel.unary_unary
    call: Any = make(f"/interference.v1.Chat/{name}")
    metadata = _TRANSCODED if case.way == "transcoded" else ()

    def ask() -> Told:
        answer = call(message, timeout=_TIMEOUT, metadata=metadata)
        sizes = [len(one) for one in answer] if case.stream else [len(answer)]
        return Told(len(sizes), sum(sizes))

    return ask


def _over_rest(connection: http.client.HTTPConnection, case: Case) -> Told:
    connection.request("POST", case.path, _body(case), {"content-type": "application/json"})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, f"{case.name}: {answer.status} {body[:500]!r}"
    return Told(body.count(b"data: ") if case.stream else 1, len(body))


def _body(case: Case) -> bytes:
    prompt = _prompt(case)
    asked = {"input": prompt} if case.path == "/v1/responses" else {"messages": [_message(prompt)]}
    limit = {"max_tokens": 100} if case.path == "/v1/messages" else {}
    return json.dumps({"model": case.model, "stream": case.stream, **asked, **limit}).encode()


def _message(prompt: str) -> dict[str, str]:
    return {"role": "user", "content": prompt}


def _prompt(case: Case) -> str:
    return "~" * case.size
