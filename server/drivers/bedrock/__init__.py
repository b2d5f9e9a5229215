"""Amazon Bedrock's dialect: Converse, whose requests AWS's own library signs and whose streams it reads.

https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html
"""

from typing import TYPE_CHECKING

from interference.v1.chat_pb2 import CreateCompletionRequest
from server.drivers.base import Listed, StreamTranslator, Target, Translator
from server.drivers.bedrock import body, failures, models
from server.drivers.bedrock.converse import ConverseTranslator
from server.drivers.bedrock.driver import BedrockDriver
from server.drivers.bedrock.framing import EventStream
from server.drivers.bedrock.options import Options
from server.kinds import Kind
from server.transport import HttpAnswer, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.operations import Request, StreamRequest


class BedrockDialect:
    """All that the dialect has; one instance serves all requests."""

    def __init__(self) -> None:
        converse = ConverseTranslator()
        self.streams: Mapping[type[StreamRequest], StreamTranslator] = {CreateCompletionRequest: converse}
        self.translators: Mapping[type[Request], Translator] = {CreateCompletionRequest: converse}

    def framing(self, limit: int) -> EventStream:
        """AWS's event streams."""
        return EventStream(limit)

    def models_request(self, target: Target) -> HttpRequest:
        """GET /foundation-models."""
        return models.request(target)

    def models(self, answer: HttpAnswer) -> list[Listed]:
        """The models that are there on demand."""
        return models.read(answer)

    def failure(self, answer: HttpAnswer, target: Target) -> Exception:
        """Reads an answer that is no success."""
        return failures.of_answer(answer, target)


KIND = Kind(
    make=lambda transport: BedrockDriver(BedrockDialect(), transport),
    options=Options,
    params={"chat": body.PARAMS, "text_completions": (), "embeddings": (), "images": ()},
    refuses=body.REFUSES,
    is_probed=True,
)
