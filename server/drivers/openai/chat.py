"""Chat completions. https://platform.openai.com/docs/api-reference/chat"""

from typing import Any
from uuid import uuid4

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk, ChunkChoice
from server.drivers.base import Target
from server.drivers.openai import body, reading, wire
from server.drivers.openai.calls import CallIndexes
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
        completion = wire.lift(ChatCompletion, decoded, reading.SPELLINGS)
        wire.check_choices(completion, "message")
        wire.complete(completion, target)
        completion.id = completion.id or f"chatcmpl-{uuid4().hex}"
        completion.object = "chat.completion"
        for choice in completion.choices:
            choice.message.role = choice.message.role or "assistant"
            reading.name_calls(choice.message)
            reading.finished(choice, target.row.profile, called=bool(choice.message.tool_calls))
        return completion

    def decoder(self, request: CreateCompletionRequest, target: Target) -> "ChatDecoder":
        """Reads a streamed completion."""
        return ChatDecoder(target, include_usage=request.stream_options.include_usage)


class ChatDecoder(StreamDecoder[ChatCompletionChunk]):
    """Reads the events of one stream of a chat completion."""

    _member = "delta"

    def __init__(self, target: Target, *, include_usage: bool) -> None:
        super().__init__(target, include_usage=include_usage)
        self._id = f"chatcmpl-{uuid4().hex}"
        self._begun: set[int] = set()
        self._calls: dict[int, CallIndexes] = {}

    def _read(self, decoded: dict[str, Any]) -> ChatCompletionChunk:
        chunk = wire.lift(ChatCompletionChunk, decoded, reading.SPELLINGS)
        chunk.object = "chat.completion.chunk"
        wire.number(chunk)
        for choice in chunk.choices:
            self._say_role(choice)
            if choice.delta.tool_calls:
                self._calls.setdefault(choice.index, CallIndexes()).settle(choice.delta.tool_calls)
            reading.finished(choice, self._target.row.profile, called=choice.index in self._calls)
        return chunk

    def _say_role(self, choice: ChunkChoice) -> None:
        """The role is said in the first delta of a choice alone; Ollama says it in each."""
        if choice.index in self._begun:
            choice.delta.ClearField("role")
        else:
            self._begun.add(choice.index)
            choice.delta.role = choice.delta.role or "assistant"
