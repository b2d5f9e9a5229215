"""What the tests of Anthropic's dialect share: a provider, requests to it, and answers from it."""

import json
from typing import Any

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion
from server.drivers.anthropic import KIND, AnthropicDialect
from server.drivers.base import ChunkDecoder, Target
from server.rows import Row
from server.transport import HttpAnswer, HttpRequest

KEY = "sk-ant-secret-0123456789"
DIALECT = AnthropicDialect()


def target(model: str = "claude-x", **row: Any) -> Target:
    fields = {"id": "Up", "driver": "anthropic", "base_url": "https://up/v1/", "key_env": "UP_KEY"}
    return Target(Row(**(fields | {"params": KIND.params["chat"]} | row)), model, KEY)


def chat(**fields: Any) -> CreateCompletionRequest:
    return CreateCompletionRequest(**{"model": "public", "messages": [said("user", "Hi")]} | fields)


def said(role: str, *texts: str, **more: Any) -> dict[str, Any]:
    """A message of these texts."""
    return {"role": role, "content": [{"text": text} for text in texts], **more}


def sent(
    request: CreateCompletionRequest, *, stream: bool = False, model: str = "claude-x", **row: Any
) -> HttpRequest:
    """What goes out for a request."""
    translator = DIALECT.translators[CreateCompletionRequest]
    return translator.request(request, target(model, **row), stream=stream)


def body(request: CreateCompletionRequest, **more: Any) -> Any:
    return json.loads(sent(request, **more).body)


def answer(content: Any, status: int = 200, **headers: str) -> HttpAnswer:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return HttpAnswer(status, headers, data)


def message(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A whole answer of these blocks."""
    told = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": content}
    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    return told | ending | {"usage": {"input_tokens": 3, "output_tokens": 5}} | more


def read(content: Any) -> ChatCompletion:
    """What is made of an answer."""
    read: Any = DIALECT.translators[CreateCompletionRequest].answer(answer(content), chat(), target())
    assert isinstance(read, ChatCompletion)
    return read


def decoder(**fields: Any) -> ChunkDecoder:
    return DIALECT.streams[CreateCompletionRequest].decoder(chat(**fields), target())


def event(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, **fields}).encode()


def start(index: int = 0, **block: Any) -> bytes:
    return event("content_block_start", index=index, content_block=block)


def delta(index: int = 0, **delta: Any) -> bytes:
    return event("content_block_delta", index=index, delta=delta)


def stop(index: int = 0) -> bytes:
    return event("content_block_stop", index=index)


def begun(**more: Any) -> bytes:
    return event("message_start", message=message(stop_reason=None) | more)


def ended(reason: str = "end_turn", **more: Any) -> list[bytes]:
    """The end of a stream."""
    last = {"stop_reason": reason, "stop_sequence": None, **more}
    return [event("message_delta", delta=last, usage={"output_tokens": 15}), event("message_stop")]
