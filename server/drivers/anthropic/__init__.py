"""Anthropic's Messages API, as Anthropic and servers like llama.cpp's speak it: a pure translator of chat.

It has no other operation: no text completions, embeddings or images.
https://platform.claude.com/docs/en/api/messages
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from interference.v1.chat_pb2 import CreateCompletionRequest
from server.drivers import answers
from server.drivers.anthropic import wire
from server.drivers.anthropic.chat import ChatTranslator
from server.drivers.anthropic.options import Options
from server.drivers.anthropic.request import PARAMS, REFUSES
from server.drivers.base import Listed, StreamTranslator, Target, Translator
from server.drivers.http import HttpDriver
from server.errors import AttemptFailed
from server.kinds import Kind
from server.sse import EventReader
from server.transport import HttpAnswer, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.operations import Request, StreamRequest

# What the list of models calls what a model can do: our word for it (see `server.capabilities`).
_CAPABILITIES: Final = {
    "image_input": "vision",
    "structured_outputs": "json_schema",
    "thinking": "reasoning",
}


class AnthropicDialect:
    """All that the dialect has; one instance serves all requests."""

    def __init__(self) -> None:
        chat = ChatTranslator()
        self.translators: Mapping[type[Request], Translator] = {CreateCompletionRequest: chat}
        self.streams: Mapping[type[StreamRequest], StreamTranslator] = {CreateCompletionRequest: chat}

    def framing(self, limit: int) -> EventReader:
        """Server-sent events."""
        return EventReader(limit)

    def models_request(self, target: Target) -> HttpRequest:
        """GET /models, all of them on one page. https://platform.claude.com/docs/en/api/models-list"""
        return wire.get(target, "models?limit=1000")

    def models(self, answer: HttpAnswer) -> list[Listed]:
        """`{"data": [{"id": ..., "max_input_tokens": ..., "capabilities": {...}}]}`."""
        decoded = answers.decode(answer.body)
        listed = decoded.get("data") if isinstance(decoded, dict) else None
        if not isinstance(listed, list):
            raise AttemptFailed(answers.BROKEN, "answered with no list of models")
        named = (one for one in listed if isinstance(one, dict) and isinstance(one.get("id"), str))
        return [_listed(one) for one in named if one["id"]]

    def failure(self, answer: HttpAnswer, target: Target) -> Exception:
        """Reads an answer that is no success."""
        return wire.failure(answer.status, answer.headers, answers.try_decode(answer.body), target)


def _listed(model: dict[str, Any]) -> Listed:
    length = model.get("max_input_tokens")
    is_length = isinstance(length, int) and not isinstance(length, bool) and 0 < length < 2**31
    told = dict(_told(model.get("capabilities")))
    return Listed(
        name=model["id"],
        capabilities=frozenset(word for word, has in told.items() if has) or None,
        lacks=frozenset(word for word, has in told.items() if not has),
        context_length=length if is_length else None,
    )


def _told(capabilities: Any) -> Iterator[tuple[str, bool]]:
    for theirs, ours in _CAPABILITIES.items():
        said = capabilities.get(theirs) if isinstance(capabilities, dict) else None
        if isinstance(said, dict) and isinstance(said.get("supported"), bool):
            yield ours, said["supported"]


KIND = Kind(
    make=lambda transport: HttpDriver(AnthropicDialect(), transport),
    options=Options,
    has_address=True,
    params={"chat": PARAMS, "text_completions": (), "embeddings": (), "images": ()},
    refuses=REFUSES,
)
