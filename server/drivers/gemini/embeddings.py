"""Embeddings. https://ai.google.dev/api/embeddings#method:-models.batchembedcontents"""

from typing import Any

from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse
from server.drivers import answers
from server.drivers.base import Target
from server.drivers.gemini import reading, wire
from server.drivers.openai import embeddings
from server.errors import AttemptFailed
from server.transport import HttpAnswer, HttpRequest

Json = dict[str, Any]
_READ = ("embeddings", "usageMetadata")


class EmbeddingsTranslator:
    """Translates embeddings. They come as numbers, and leave in the form that was asked for."""

    def request(self, request: CreateEmbeddingsRequest, target: Target, *, stream: bool) -> HttpRequest:
        """POST {model}:batchEmbedContents. Members of `extra_json`, such as `taskType`, go with each."""
        asked = [_of(one.text, request, target) for one in request.input]
        return wire.post(target, "batchEmbedContents", {"requests": asked})

    def answer(
        self, answer: HttpAnswer, request: CreateEmbeddingsRequest, target: Target
    ) -> CreateEmbeddingsResponse:
        """Reads embeddings, one for each input, in the order of the inputs."""
        decoded = wire.answered(answer, target)
        data = decoded.get("embeddings")
        if not isinstance(data, list):
            raise AttemptFailed(answers.BROKEN, "answered without embeddings", status=answer.status)
        rest = {name: value for name, value in decoded.items() if name not in _READ}
        read: Json = {"object": "list", "data": list(map(_read, data)), **({"extra": rest} if rest else {})}
        if (cost := reading.usage(decoded.get("usageMetadata"))) is not None:
            cost.pop("completion_tokens")
            read["usage"] = cost
        made = answers.lift(CreateEmbeddingsResponse, read)
        answers.complete(made, target)
        embeddings.settle(made, request)
        return made


def _of(text: str, request: CreateEmbeddingsRequest, target: Target) -> Json:
    made: Json = {"model": wire.resource(target.model), "content": {"parts": [{"text": text}]}}
    if request.HasField("dimensions") and "dimensions" in target.row.embedding_params:
        made["outputDimensionality"] = request.dimensions
    wire.merge(made, request.extra_json)
    return made


def _read(item: Any) -> Json:
    values = item.get("values") if isinstance(item, dict) else None
    if not isinstance(values, list):
        raise AttemptFailed(answers.BROKEN, "answered with an embedding that is none")
    rest = {name: value for name, value in item.items() if name != "values"}
    return {"embedding": values, **({"extra": rest} if rest else {})}
