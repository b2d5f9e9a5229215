"""Chat completions. https://ai.google.dev/api/generate-content"""

import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from server.drivers import answers
from server.drivers.base import Target
from server.drivers.gemini import body, reading, wire
from server.drivers.gemini.reading import Reader
from server.transport import HttpAnswer, HttpRequest

Json = dict[str, Any]


class ChatTranslator:
    """Translates chat completions."""

    def request(self, request: CreateCompletionRequest, target: Target, *, stream: bool) -> HttpRequest:
        """POST {model}:generateContent, or :streamGenerateContent for server-sent events."""
        asked = body.of(request, target)
        if stream:
            return wire.post(target, "streamGenerateContent", asked, "?alt=sse")
        return wire.post(target, "generateContent", asked)

    def answer(self, answer: HttpAnswer, _: CreateCompletionRequest, target: Target) -> ChatCompletion:
        """Reads a whole completion."""
        decoded = wire.answered(answer, target)
        made = Reader(target, "message").read(decoded)
        if (cost := reading.usage(decoded.get("usageMetadata"))) is not None:
            made["usage"] = cost
        completion = answers.lift(ChatCompletion, made)
        answers.check_choices(completion, "message")
        answers.complete(completion, target)
        completion.id = completion.id or f"chatcmpl-{uuid4().hex}"
        completion.object = "chat.completion"
        return completion

    def decoder(self, request: CreateCompletionRequest, target: Target) -> "ChatDecoder":
        """Reads a streamed completion."""
        return ChatDecoder(target, include_usage=request.stream_options.include_usage)


class ChatDecoder:
    """Reads the events of one stream: each is a whole answer with what is new. It ends without a word.

    What ends a choice may come with each event, as the usage so far does: the last of both is told at the
    end, in chunks of their own, the usage where it was asked for.
    """

    def __init__(self, target: Target, *, include_usage: bool) -> None:
        self._target = target
        self._include_usage = include_usage
        self._reader = Reader(target, "delta")
        self._usage: Json = {}
        self._id = ""
        self._model = target.model
        self._created = int(time.time())
        self.done = False

    def feed(self, events: Sequence[bytes]) -> Iterator[ChatCompletionChunk]:
        """Reads the data of events that arrived together."""
        for event in events:
            decoded = wire.read(event, self._target)
            if isinstance(cost := decoded.get("usageMetadata"), dict):
                self._usage |= cost
            made = self._reader.read(decoded)
            chunk = answers.lift(ChatCompletionChunk, made)
            self._complete(chunk)
            if chunk.choices or chunk.HasField("extra"):
                yield chunk

    def end(self) -> Iterator[ChatCompletionChunk]:
        """Takes the end of the stream. A choice of which no end was told gets none."""
        for choice in self._reader.ends():
            chunk = answers.lift(ChatCompletionChunk, {"choices": [choice]})
            self._complete(chunk)
            yield chunk
        cost = reading.usage(self._usage)
        if self._include_usage and cost is not None:
            chunk = answers.lift(ChatCompletionChunk, {"usage": cost})
            self._complete(chunk)
            yield chunk

    def _complete(self, chunk: ChatCompletionChunk) -> None:
        chunk.id = self._id = self._id or chunk.id or f"chatcmpl-{uuid4().hex}"
        chunk.model = self._model = chunk.model or self._model
        chunk.object = "chat.completion.chunk"
        chunk.created = self._created
        chunk.provider = self._target.row.id
