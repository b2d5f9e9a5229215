"""Asks the service over REST and over gRPC, and reads what came back in the same terms."""

import json
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import requests
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.error_pb2 import ErrorResponse
from tests.service import Service

M = TypeVar("M", bound=Message)
TIMEOUT = 30  # seconds, after which a test fails because the service hangs


@dataclass(frozen=True)
class Outcome:
    """What a caller saw. `code` is the HTTP status, or the name of the gRPC code."""

    code: int | str
    text: str = ""
    provider: str = ""
    error: dict[str, Any] = field(default_factory=dict)  # the body of OpenAI's shape
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[dict[str, Any]] = field(default_factory=list)
    done: bool = False  # whether `data: [DONE]` was last


def body(provider: str, **fields: Any) -> dict[str, Any]:
    """A chat request in OpenAI's JSON."""
    messages = [{"role": "user", "content": "Hi"}]
    return {"model": "m", "provider": provider, "messages": messages, **fields}


def rest(service: Service, request: Any, **options: Any) -> Outcome:
    """POST /v1/chat/completions, unary or streamed as the request says."""
    stream = bool(request.get("stream"))
    return rest_text(service, json.dumps(request).encode(), stream=stream, **options)


def rest_text(
    service: Service, data: bytes, *, stream: bool, path: str = "chat/completions", **options: Any
) -> Outcome:
    """POST /v1/{path} with a body of this JSON text."""
    options["headers"] = {"content-type": "application/json", **options.get("headers", {})}
    url = f"{service.base_url}/{path}"
    answer = requests.post(url, data=data, timeout=TIMEOUT, **options)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if answer.status_code != 200:
        return Outcome(answer.status_code, error=answer.json(), headers=headers)
    if not stream:
        whole = answer.json()
        return Outcome(200, _text(whole), whole["provider"], headers=headers, chunks=[whole])
    events = answer.content.decode().split("\n\n")
    assert events.pop() == ""
    assert all(event.startswith("data: ") for event in events)
    payloads = [event.removeprefix("data: ") for event in events]
    done = payloads[-1] == "[DONE]"
    chunks = [json.loads(payload) for payload in payloads[: len(payloads) - done]]
    failed = chunks.pop() if "error" in chunks[-1] else {}
    return Outcome(200, _joined(chunks), _provider(chunks), failed, headers, chunks, done)


def over_grpc(
    service: Service, provider: str, *, stream: bool, address: str = "", **fields: Any
) -> Outcome:
    """Chat.CreateCompletion or Chat.StreamCompletion, through Envoy where no address is given."""
    messages: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
    names = provider.split()
    request = CreateCompletionRequest(**{"model": "m", "providers": names, "messages": messages} | fields)
    with grpc.insecure_channel(address or service.envoy) as channel:
        stub = ChatStub(channel)
        chunks: list[dict[str, Any]] = []
        try:
            if stream:
                for chunk in stub.StreamCompletion(request, timeout=TIMEOUT):
                    chunks.append(plain(chunk))  # noqa: PERF401 - those before an error count
                return Outcome("OK", _joined(chunks), _provider(chunks), chunks=chunks)
            whole = plain(stub.CreateCompletion(request, timeout=TIMEOUT))
            return Outcome("OK", _text(whole), whole["provider"], chunks=[whole])
        except grpc.RpcError as error:
            return Outcome(
                error.code().name,
                _joined(chunks),
                _provider(chunks),
                plain(detail(error, ErrorResponse)),
                chunks=chunks,
            )


def ask(
    service: Service, way: str, provider: str, *, stream: bool = False, address: str = "", **fields: Any
) -> Outcome:
    """Asks in one of the two ways, `rest` or `grpc`, through Envoy where no address is given for gRPC."""
    if way == "grpc":
        return over_grpc(service, provider, stream=stream, address=address, **fields)
    return rest(service, body(provider, stream=stream, **fields))


def attempts(outcome: Outcome) -> list[tuple[str, str]]:
    """Who was asked, and why each gave no answer: by the answer, its first chunk, or the error."""
    told = outcome.chunks[0]["routing"]["attempts"] if outcome.chunks else outcome.error["attempts"]
    return [(attempt["provider"], attempt.get("cause", "")) for attempt in told]


def status(error: grpc.RpcError) -> Status:
    """The status with its details that a failed gRPC call carries."""
    assert isinstance(error, grpc.Call)
    trailers = dict(error.trailing_metadata() or ())
    return Status.FromString(trailers["grpc-status-details-bin"])


def detail(error: grpc.RpcError, kind: type[M]) -> M:
    """The detail of this kind that a failed gRPC call carries."""
    found = kind()
    assert any(packed.Unpack(found) for packed in status(error).details)
    return found


def plain(message: Message) -> dict[str, Any]:
    """A message as the members of its JSON."""
    return MessageToDict(message, preserving_proto_field_name=True)


def _text(whole: dict[str, Any]) -> str:
    """The text of the first choice of a whole answer, where it has choices."""
    choices = whole.get("choices") or [{}]
    text: str = choices[0].get("message", {}).get("content", "")
    return text


def _joined(chunks: list[dict[str, Any]]) -> str:
    return "".join(
        choice.get("delta", {}).get("content", "")
        for chunk in chunks
        for choice in chunk.get("choices", ())
    )


def _provider(chunks: list[dict[str, Any]]) -> str:
    providers: set[str] = {chunk["provider"] for chunk in chunks} or {""}
    assert len(providers) == 1, "an answer mixes providers"
    return providers.pop()
