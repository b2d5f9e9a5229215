"""Echo: a provider without a model. It answers with the caller's own words, so that a first call works
anywhere and clients can be tried without a key. It says so in its label."""

import re
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from uuid import uuid4

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import (
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
)
from interference.v1.usage_pb2 import Usage
from server.drivers.base import Listed, Target
from server.errors import AttemptFailed, RequestRefused
from server.kinds import Kind
from server.operations import Request, StreamRequest

_TOKEN = re.compile(r"\s*\S+|\s+\Z")  # a word with the white space before it
_MAX_PROMPT = 2**20  # characters of all messages
_MAX_ANSWER = 2**18  # characters of all choices
_NO_OTHER = "chats, and does nothing else"
_NOTHING = "(There is no text to echo.)"


@dataclass(frozen=True, slots=True)
class _Answer:
    tokens: list[str]
    finish_reason: str
    usage: Usage


class EchoDriver:
    """Repeats the text of the last user message. A token is a word."""

    async def models(self, target: Target) -> list[Listed]:
        """The row's own list."""
        return [Listed(name) for name in target.row.models]

    async def close(self) -> None:
        """Nothing is held."""

    async def answer(self, request: Request, target: Target) -> ChatCompletion:
        """Answers whole."""
        if not isinstance(request, CreateCompletionRequest):
            raise AttemptFailed("no_such_model", _NO_OTHER)
        answer = _answer(request, target)
        message = AnswerMessage(role="assistant", content="".join(answer.tokens))
        return ChatCompletion(
            id=_id(),
            object="chat.completion",
            created=int(time.time()),
            model=target.model,
            provider=target.row.id,
            choices=[
                Choice(index=index, message=message, finish_reason=answer.finish_reason)
                for index in range(request.n or 1)
            ],
            usage=answer.usage,
        )

    async def stream(
        self, request: StreamRequest, target: Target
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Answers word by word."""
        if not isinstance(request, CreateCompletionRequest):
            raise AttemptFailed("no_such_model", _NO_OTHER)
        answer = _answer(request, target)
        chunk_id, created = _id(), int(time.time())

        def chunk(choices: list[ChunkChoice], usage: Usage | None = None) -> ChatCompletionChunk:
            return ChatCompletionChunk(
                id=chunk_id,
                object="chat.completion.chunk",
                created=created,
                model=target.model,
                provider=target.row.id,
                choices=choices,
                usage=usage,
            )

        for choice in _pieces(answer, request.n or 1):
            yield chunk([choice])
        if request.stream_options.include_usage:
            yield chunk([], answer.usage)


def _pieces(answer: _Answer, n: int) -> Iterator[ChunkChoice]:
    for index in range(n):
        yield ChunkChoice(index=index, delta=AnswerMessage(role="assistant", content=""))
    for token in answer.tokens:
        for index in range(n):
            yield ChunkChoice(index=index, delta=AnswerMessage(content=token))
    for index in range(n):
        yield ChunkChoice(index=index, delta=AnswerMessage(), finish_reason=answer.finish_reason)


def _answer(request: CreateCompletionRequest, target: Target) -> _Answer:
    texts = [
        "".join(part.text for part in message.content if part.HasField("text"))
        for message in request.messages
    ]
    said = [
        text
        for text, message in zip(texts, request.messages, strict=True)
        if message.role == "user" and text
    ]
    text = _until(said[-1] if said else _NOTHING, request.stop)
    _check(request, target, texts, text)
    tokens = _TOKEN.findall(text)
    limit = request.max_completion_tokens or request.max_tokens or len(tokens)
    prompt = sum(len(text.split()) for text in texts)
    completion = min(limit, len(tokens)) * (request.n or 1)
    return _Answer(
        tokens=tokens[:limit],
        finish_reason="length" if limit < len(tokens) else "stop",
        usage=Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
        ),
    )


def _check(request: CreateCompletionRequest, target: Target, texts: list[str], text: str) -> None:
    """A few bytes of a request must not become many of an answer."""
    fault = param = ""
    if len(text) * (request.n or 1) > _MAX_ANSWER or sum(map(len, texts)) > _MAX_PROMPT:
        fault, param = f"Echo repeats at most {_MAX_ANSWER} characters.", "messages"
    for name in ("max_tokens", "max_completion_tokens"):
        if request.HasField(name) and getattr(request, name) < 1:
            fault, param = f"{name} must be at least 1.", name
    if fault:
        raise RequestRefused(fault, param=param, provider=target.row.id, model=target.model)


def _until(text: str, stops: Iterable[str]) -> str:
    """The text before the first of the stop sequences."""
    ends = [text.find(stop) for stop in stops if stop]
    return text[: min((end for end in ends if end >= 0), default=len(text))]


def _id() -> str:
    return f"chatcmpl-{uuid4().hex}"


KIND = Kind(make=lambda _: EchoDriver())
