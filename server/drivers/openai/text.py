"""Text completions. https://platform.openai.com/docs/api-reference/completions"""

from typing import Any
from uuid import uuid4

from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextCompletion
from server.drivers import answers
from server.drivers.base import Target
from server.drivers.openai import body, wire
from server.drivers.openai.stream import StreamDecoder
from server.operations import TEXT_COMPLETIONS
from server.transport import HttpAnswer, HttpRequest


class TextTranslator:
    """Translates text completions."""

    def request(self, request: CreateTextCompletionRequest, target: Target, *, stream: bool) -> HttpRequest:
        """POST /completions."""
        asked = body.of_stream_request(request, target, stream=stream)
        return wire.post(target, TEXT_COMPLETIONS, asked)

    def answer(self, answer: HttpAnswer, _: CreateTextCompletionRequest, target: Target) -> TextCompletion:
        """Reads a whole completion."""
        completion = _lift(wire.answered(answer, target))
        answers.check_choices(completion, "text")
        completion.id = completion.id or f"cmpl-{uuid4().hex}"
        answers.complete(completion, target)
        return completion

    def decoder(self, request: CreateTextCompletionRequest, target: Target) -> "TextDecoder":
        """Reads a streamed completion."""
        return TextDecoder(target, include_usage=request.stream_options.include_usage)


class TextDecoder(StreamDecoder[TextCompletion]):
    """Reads the events of one stream of a text completion."""

    _ids = "cmpl-"

    def _read(self, decoded: dict[str, Any]) -> TextCompletion:
        return _lift(decoded)


def _lift(decoded: dict[str, Any]) -> TextCompletion:
    completion = answers.lift(TextCompletion, decoded)
    completion.ClearField("routing")
    completion.object = "text_completion"
    answers.number(completion)
    return completion
