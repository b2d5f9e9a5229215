"""Text completions. https://platform.openai.com/docs/api-reference/completions"""

from typing import Any
from uuid import uuid4

from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextCompletion
from server.drivers.base import Target
from server.drivers.openai import body, wire
from server.drivers.openai.chat import stream_members
from server.drivers.openai.stream import StreamDecoder
from server.errors import AttemptFailed
from server.operations import TEXT_COMPLETIONS
from server.transport import HttpAnswer, HttpRequest

_STREAMING = frozenset({"stream", "stream_options"})


class TextTranslator:
    """Translates text completions."""

    def request(self, request: CreateTextCompletionRequest, target: Target, *, stream: bool) -> HttpRequest:
        """POST /completions."""
        asked = body.of_request(request, target, _STREAMING)
        members = stream_members(request, target) if stream else {}
        return wire.post(target, TEXT_COMPLETIONS, asked | members)

    def answer(self, answer: HttpAnswer, _: CreateTextCompletionRequest, target: Target) -> TextCompletion:
        """Reads a whole completion."""
        decoded = wire.answered(answer, target)
        if not isinstance(decoded.get("choices"), list) or not decoded["choices"]:
            raise AttemptFailed(wire.BROKEN, "answered without choices", status=answer.status)
        completion = _lift(decoded)
        if not completion.choices or not all(c.HasField("text") for c in completion.choices):
            raise AttemptFailed(wire.BROKEN, "answered with choices of another shape")
        completion.id = completion.id or f"cmpl-{uuid4().hex}"
        wire.complete(completion, target)
        return completion

    def decoder(self, request: CreateTextCompletionRequest, target: Target) -> "TextDecoder":
        """Reads a streamed completion."""
        return TextDecoder(target, include_usage=request.stream_options.include_usage)


class TextDecoder(StreamDecoder[TextCompletion]):
    """Reads the events of one stream of a text completion."""

    def __init__(self, target: Target, *, include_usage: bool) -> None:
        super().__init__(target, include_usage=include_usage)
        self._id = f"cmpl-{uuid4().hex}"

    def _read(self, decoded: dict[str, Any]) -> TextCompletion:
        return _lift(decoded)


def _lift(decoded: dict[str, Any]) -> TextCompletion:
    completion = wire.lift(TextCompletion, decoded)
    completion.ClearField("error")
    completion.ClearField("attempts")
    completion.object = "text_completion"
    for index, choice in enumerate(completion.choices):
        if not choice.HasField("index"):
            choice.index = index
    return completion
