"""OpenAI's dialect, as OpenAI and every OpenAI-compatible server speaks it: a pure translator.

What a vendor does differently is said in its row's profile and parameters, never here.
https://platform.openai.com/docs/api-reference
"""

from typing import TYPE_CHECKING

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completions_pb2 import CreateTextCompletionRequest
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from server.drivers import answers, failures
from server.drivers.base import Listed, StreamTranslator, Target, Translator
from server.drivers.http import HttpDriver
from server.drivers.openai import address, models, wire
from server.drivers.openai.chat import ChatTranslator
from server.drivers.openai.embeddings import EmbeddingsTranslator
from server.drivers.openai.images import ImagesTranslator
from server.drivers.openai.text import TextTranslator
from server.kinds import Kind
from server.sse import EventReader
from server.transport import HttpAnswer, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.operations import Request, StreamRequest


class OpenAIDialect:
    """All that the dialect has; one instance serves all requests."""

    def __init__(self) -> None:
        chat, text = ChatTranslator(), TextTranslator()
        self.streams: Mapping[type[StreamRequest], StreamTranslator] = {
            CreateCompletionRequest: chat,
            CreateTextCompletionRequest: text,
        }
        self.translators: Mapping[type[Request], Translator] = {
            CreateCompletionRequest: chat,
            CreateTextCompletionRequest: text,
            CreateEmbeddingsRequest: EmbeddingsTranslator(),
            GenerateImagesRequest: ImagesTranslator(),
        }

    def framing(self, limit: int) -> EventReader:
        """Server-sent events."""
        return EventReader(limit)

    def models_request(self, target: Target) -> HttpRequest:
        """GET /models."""
        return HttpRequest("GET", address.url(target.row, "models", target.model), wire.headers(target))

    def models(self, answer: HttpAnswer) -> list[Listed]:
        """Reads the list of models."""
        return models.read(answer.body)

    def failure(self, answer: HttpAnswer, target: Target) -> Exception:
        """Reads an answer that is no success."""
        return failures.read(answer.status, answer.headers, answers.try_decode(answer.body), target)


KIND = Kind(
    make=lambda transport: HttpDriver(OpenAIDialect(), transport),
    has_address=True,
    is_probed=True,
)
