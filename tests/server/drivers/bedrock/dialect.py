"""What the tests of Bedrock's dialect share: a provider, requests to it, and answers from it."""

import json
from collections.abc import Iterable
from typing import Any

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from server.drivers.base import Target
from server.drivers.bedrock import KIND, BedrockDialect
from server.rows import Row
from server.transport import HttpAnswer, HttpRequest

KEY = "bedrock-api-key-0123456789"
MODEL = "us.anthropic.claude-sonnet-5-5"
DIALECT = BedrockDialect()
CONVERSE = DIALECT.streams[CreateCompletionRequest]


def target(model: str = MODEL, key: str | None = None, **row: Any) -> Target:
    fields = {"id": "Up", "driver": "bedrock", "key_env": "UP_KEY", "params": KIND.params["chat"]}
    return Target(Row(**(fields | {"options": {"region": "us-east-1"}} | row)), model, key)


def chat(*messages: dict[str, Any], **fields: Any) -> CreateCompletionRequest:
    given: Any = list(messages) or [said("user", "Hi")]
    return CreateCompletionRequest(model="public", messages=given, **fields)


def said(role: str, *texts: str, **more: Any) -> dict[str, Any]:
    """A message of these texts."""
    return {"role": role, "content": [{"text": text} for text in texts], **more}


def sent(
    request: CreateCompletionRequest,
    *,
    stream: bool = False,
    model: str = MODEL,
    key: str | None = None,
    **row: Any,
) -> HttpRequest:
    """What goes out for a request, before it is signed."""
    return CONVERSE.request(request, target(model, key, **row), stream=stream)


def body(request: CreateCompletionRequest, **more: Any) -> Any:
    return json.loads(sent(request, **more).body)


def answer(content: Any, status: int = 200, **headers: str) -> HttpAnswer:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return HttpAnswer(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def whole(*content: Any, **more: Any) -> dict[str, Any]:
    """A whole answer of these blocks."""
    output = {"message": {"role": "assistant", "content": [*content]}}
    usage = {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8}
    return {"output": output, "stopReason": "end_turn", "usage": usage, "metrics": {"latencyMs": 1}} | more


def read(content: Any) -> ChatCompletion:
    """What is made of an answer."""
    made = CONVERSE.answer(answer(content), chat(), target())
    assert isinstance(made, ChatCompletion)
    return made


def event(kind: str, /, **members: Any) -> bytes:
    """An event as the framing gives it."""
    return kind.encode() + b"\n" + json.dumps(members).encode()


def chunks(events: Iterable[bytes], *, include_usage: bool = False) -> list[ChatCompletionChunk]:
    """What is made of a stream, event by event."""
    request = chat(stream_options={"include_usage": include_usage})
    decoder = CONVERSE.decoder(request, target())
    made: list[Any] = []
    for one in events:
        made += decoder.feed([one])
        if decoder.done:
            break
    return [*made, *decoder.end()]
