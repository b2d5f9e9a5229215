"""Google's own dialect of Gemini: generateContent, its stream, and embeddings; a pure translator.

https://ai.google.dev/api
"""

from typing import TYPE_CHECKING

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from server.drivers import answers
from server.drivers.base import Listed, StreamTranslator, Target, Translator
from server.drivers.gemini import body, faults, images, wire
from server.drivers.gemini.chat import ChatTranslator
from server.drivers.gemini.driver import GeminiDriver
from server.drivers.gemini.embeddings import EmbeddingsTranslator
from server.drivers.gemini.events import GeminiEvents
from server.drivers.gemini.images import ImagesTranslator
from server.errors import AttemptFailed
from server.kinds import Kind
from server.transport import HttpAnswer, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from server.operations import Request, StreamRequest

_METHODS = ("generateContent", "embedContent", "batchEmbedContents")


class GeminiDialect:
    """All that the dialect has; one instance serves all requests."""

    def __init__(self) -> None:
        chat = ChatTranslator()
        self.streams: Mapping[type[StreamRequest], StreamTranslator] = {CreateCompletionRequest: chat}
        self.translators: Mapping[type[Request], Translator] = {
            CreateCompletionRequest: chat,
            CreateEmbeddingsRequest: EmbeddingsTranslator(),
            GenerateImagesRequest: ImagesTranslator(),
        }

    def framing(self, limit: int) -> GeminiEvents:
        """Server-sent events, and errors among them."""
        return GeminiEvents(limit)

    def models_request(self, target: Target) -> HttpRequest:
        """GET /models."""
        return wire.models(target)

    def models(self, answer: HttpAnswer) -> list[Listed]:
        """`{"models": [{"name": "models/...", ...}]}`, without those that no method here can ask.

        https://ai.google.dev/api/models#Model
        """
        decoded = answers.decode(answer.body)
        listed = decoded.get("models") if isinstance(decoded, dict) else None
        if not isinstance(listed, list):
            raise AttemptFailed(answers.BROKEN, "answered with no list of models")
        return list(_listed(listed))

    def failure(self, answer: HttpAnswer, target: Target) -> Exception:
        """Reads an answer that is no success."""
        return faults.read(answer.status, answer.headers, answers.try_decode(answer.body), target)


def _listed(models: list[object]) -> "Iterator[Listed]":
    for model in models:
        name = model.get("name") if isinstance(model, dict) else None
        if not isinstance(model, dict) or not isinstance(name, str) or name in ("", "models/"):
            continue
        methods = model.get("supportedGenerationMethods")
        known = isinstance(methods, list)
        if isinstance(methods, list) and not any(method in methods for method in _METHODS):
            continue
        thinks = model.get("thinking") is True
        limit = model.get("inputTokenLimit")
        yield Listed(
            name.removeprefix("models/"),
            capabilities=frozenset({"reasoning"}) if thinks else None,
            lacks=frozenset({"reasoning"}) if known and not thinks else frozenset(),
            context_length=limit if type(limit) is int and 0 < limit < 2**31 else None,
        )


KIND = Kind(
    make=lambda transport: GeminiDriver(GeminiDialect(), transport),
    has_address=True,
    params={
        "chat": body.PARAMS,
        "text_completions": (),
        "embeddings": ("dimensions",),
        "images": images.PARAMS,
    },
    refuses={
        "tools": ("custom",),
        "tool_choice": ("custom",),
        "reasoning_effort": ("max",),
        "input": ("tokens",),
    },
)
