"""What the tests of OpenAI's dialect share: a provider, requests to it, and answers from it."""

import json
from typing import Any

from interference.v1.chat_pb2 import CreateCompletionRequest
from server.drivers.base import Target
from server.drivers.openai import OpenAIDialect
from server.operations import Request
from server.profile import Profile
from server.rows import Row
from server.transport import HttpAnswer, HttpRequest

KEY = "sk-secret-0123456789"
DIALECT = OpenAIDialect()


def target(profile: dict[str, Any] | None = None, **row: Any) -> Target:
    fields = {"id": "Up", "driver": "openai", "base_url": "https://up/v1/", "key_env": "UP_KEY"}
    return Target(Row(**(fields | row), profile=Profile(**profile or {})), "own-name", KEY)


def chat(**fields: Any) -> CreateCompletionRequest:
    messages: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
    return CreateCompletionRequest(
        **{"model": "public", "providers": ["Up"], "messages": messages} | fields
    )


def sent(request: Request, *, stream: bool = False, **row: Any) -> HttpRequest:
    """What goes out for a request."""
    return DIALECT.translators[type(request)].request(request, target(**row), stream=stream)


def body(request: Request, *, stream: bool = False, **row: Any) -> Any:
    return json.loads(sent(request, stream=stream, **row).body)


def answer(content: Any, status: int = 200, **headers: str) -> HttpAnswer:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return HttpAnswer(status, headers, data)


def read(request: Request, content: Any, **row: Any) -> Any:
    """What is made of an answer to a request."""
    return DIALECT.translators[type(request)].answer(answer(content), request, target(**row))


def event(**fields: Any) -> bytes:
    return json.dumps(fields).encode()
