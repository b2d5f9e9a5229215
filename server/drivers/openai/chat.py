"""Chat completions. https://platform.openai.com/docs/api-reference/chat"""

from typing import Any
from uuid import uuid4

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk, ChunkChoice
from server.drivers import answers
from server.drivers.base import Target
from server.drivers.openai import body, deltas, reading, wire
from server.drivers.openai.calls import CallIndexes
from server.drivers.openai.deltas import Piece, TextEvent
from server.drivers.openai.stream import StreamDecoder
from server.operations import CHAT
from server.transport import HttpAnswer, HttpRequest


class ChatTranslator:
    """Translates chat completions."""

    def request(self, request: CreateCompletionRequest, target: Target, *, stream: bool) -> HttpRequest:
        """POST /chat/completions."""
        return wire.post(target, CHAT, body.of_stream_request(request, target, stream=stream))

    def answer(self, answer: HttpAnswer, _: CreateCompletionRequest, target: Target) -> ChatCompletion:
        """Reads a whole completion."""
        decoded = wire.answered(answer, target, "message")
        completion = answers.lift(ChatCompletion, decoded, reading.SPELLINGS)
        answers.check_choices(completion, "message")
        answers.complete(completion, target)
        if not completion.id:
            completion.id = f"chatcmpl-{uuid4().hex}"
        completion.object = "chat.completion"
        profile = target.row.profile
        for choice in completion.choices:
            message = choice.message
            if not message.role:
                message.role = "assistant"
            if message.tool_calls:
                reading.name_calls(message)
                reading.finished(choice, profile)
        return completion

    def decoder(self, request: CreateCompletionRequest, target: Target) -> "ChatDecoder":
        """Reads a streamed completion."""
        return ChatDecoder(target, include_usage=request.stream_options.include_usage)


class ChatDecoder(StreamDecoder[ChatCompletionChunk]):
    """Reads the events of one stream of a chat completion."""

    _ids = "chatcmpl-"
    _member = "delta"

    def __init__(self, target: Target, *, include_usage: bool) -> None:
        super().__init__(target, include_usage=include_usage)
        self._begun: set[int] = set()
        self._calls: dict[int, CallIndexes] = {}

    def _read(self, decoded: dict[str, Any]) -> ChatCompletionChunk:
        chunk = answers.lift(ChatCompletionChunk, decoded, reading.SPELLINGS)
        chunk.object = "chat.completion.chunk"
        answers.number(chunk)
        for choice in chunk.choices:
            self._say_role(choice)
            if choice.delta.tool_calls:
                self._calls.setdefault(choice.index, CallIndexes()).settle(choice.delta.tool_calls)
            if choice.index in self._calls:
                reading.finished(choice, self._target.row.profile)
        return chunk

    def _piece(self, event: bytes) -> Piece | None:
        return deltas.plain(event, self._begun) or super()._piece(event)

    def _said(self, text: str, padding: str | None, event: TextEvent) -> ChatCompletionChunk:
        choice = event.choices[0]
        self._model = event.model or self._model
        self._created = event.created or self._created
        chunk = ChatCompletionChunk(
            id=self._named(event.id),
            object="chat.completion.chunk",
            created=self._created,
            model=self._model,
            provider=self._target.row.id,
            system_fingerprint=event.system_fingerprint,
            service_tier=event.service_tier,
        )
        made = chunk.choices.add()
        made.index = choice.index
        if choice.delta.content is None:
            made.delta.reasoning = text
        else:
            made.delta.content = text
        if choice.index not in self._begun:
            self._say_role(made)
        if padding is not None:
            chunk.extra.fields["obfuscation"].string_value = padding
        self._add_early(chunk)
        return chunk

    def _say_role(self, choice: ChunkChoice) -> None:
        """The role is said in the first delta of a choice alone; Ollama says it in each."""
        if choice.index in self._begun:
            choice.delta.ClearField("role")
        else:
            self._begun.add(choice.index)
            choice.delta.role = choice.delta.role or "assistant"
