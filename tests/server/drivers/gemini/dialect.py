"""What the tests of Gemini's dialect share: a provider, requests to it, and answers from it."""

import json
from typing import Any

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from server.drivers.base import Target
from server.drivers.gemini import GeminiDialect
from server.operations import Request
from server.rows import Row
from server.transport import HttpAnswer, HttpRequest

KEY = "AIza-secret-0123456789"
DIALECT = GeminiDialect()
STOP = {"finishReason": "STOP"}


def target(model: str = "gemini-2.5-flash", **row: Any) -> Target:
    fields = {"id": "Up", "driver": "gemini", "base_url": "https://up/v1beta/", "key_env": "UP_KEY"}
    return Target(msgspec.convert(fields | row, Row), model, KEY)


def chat(*messages: Any, **fields: Any) -> CreateCompletionRequest:
    said: Any = messages or [{"role": "user", "content": [{"text": "Hi"}]}]
    return CreateCompletionRequest(**{"model": "public", "messages": said} | fields)


def sent(
    request: Request, model: str = "gemini-2.5-flash", *, stream: bool = False, **row: Any
) -> HttpRequest:
    """What goes out for a request."""
    return DIALECT.translators[type(request)].request(request, target(model, **row), stream=stream)


def body(request: Request, model: str = "gemini-2.5-flash", **row: Any) -> Any:
    return json.loads(sent(request, model, **row).body)


def config(model: str = "m", **fields: Any) -> Any:
    """The `generationConfig` of a request with these fields."""
    return body(chat(**fields), model).get("generationConfig", {})


def answer(content: Any, status: int = 200, **headers: str) -> HttpAnswer:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return HttpAnswer(status, headers, data)


def read(request: Request, content: Any) -> Any:
    """What is made of an answer to a request."""
    return DIALECT.translators[type(request)].answer(answer(content), request, target())


def candidate(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"content": {"parts": list(parts), "role": "model"}, **STOP, **more}


def said(*parts: Any, **more: Any) -> ChatCompletion:
    """A completion whose only candidate has these parts."""
    made: ChatCompletion = read(chat(), {"candidates": [candidate(*parts, **more)]})
    return made


def streamed(*events: Any, **fields: Any) -> list[ChatCompletionChunk]:
    """The chunks that events make."""
    decoder = DIALECT.streams[CreateCompletionRequest].decoder(chat(**fields), target())
    raw = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    chunks: Any = [*decoder.feed(raw), *decoder.end()]
    return list(chunks)


def piece(*parts: Any, **more: Any) -> dict[str, Any]:
    """An event with these parts."""
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **more}]}
