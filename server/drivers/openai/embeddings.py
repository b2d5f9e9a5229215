"""Embeddings. https://platform.openai.com/docs/api-reference/embeddings"""

import base64
import binascii
import math
import struct
from typing import Any

from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse, Embedding
from server.drivers import answers
from server.drivers.base import Target
from server.drivers.openai import body, wire
from server.errors import AttemptFailed
from server.operations import EMBEDDINGS
from server.transport import HttpAnswer, HttpRequest

_NO_NUMBERS = "answered with an embedding of other than numbers"


class EmbeddingsTranslator:
    """Translates embeddings. Their form is the one asked for, whichever the provider can make."""

    def request(self, request: CreateEmbeddingsRequest, target: Target, *, stream: bool) -> HttpRequest:
        """POST /embeddings."""
        honoured = "encoding_format" in target.row.embedding_params
        skip = frozenset() if honoured else frozenset({"encoding_format"})
        return wire.post(target, EMBEDDINGS, body.of_request(request, target, skip))

    def answer(
        self, answer: HttpAnswer, request: CreateEmbeddingsRequest, target: Target
    ) -> CreateEmbeddingsResponse:
        """Reads embeddings, one for each input, in the order of the inputs."""
        decoded = wire.answered(answer, target)
        data = decoded.get("data")
        if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
            raise AttemptFailed(answers.BROKEN, "answered without embeddings", status=answer.status)
        for item in data:
            item.pop("embedding_base64", None)  # which is a name of ours
            if isinstance(item.get("embedding"), str):
                item["embedding_base64"] = item.pop("embedding")
        made = answers.lift(CreateEmbeddingsResponse, decoded)
        answers.complete(made, target)
        made.object = "list"
        settle(made, request)
        return made


def settle(made: CreateEmbeddingsResponse, request: CreateEmbeddingsRequest) -> None:
    """Puts the embeddings in the order of their inputs and in the form that was asked for."""
    for place, item in enumerate(made.data):
        item.object = "embedding"
        if not item.HasField("index"):
            item.index = place
        _form(item, request.encoding_format)
    if sorted(item.index for item in made.data) != list(range(len(request.input))):
        raise AttemptFailed(answers.BROKEN, "answered with other embeddings than one for each input")
    made.data.sort(key=lambda item: item.index)


def _form(item: Embedding, wanted: str) -> None:
    if not all(map(math.isfinite, item.embedding)):
        raise AttemptFailed(answers.BROKEN, _NO_NUMBERS)
    if wanted == "base64" and not item.embedding_base64:
        packed = _packed(item.embedding)
        item.embedding_base64 = base64.b64encode(packed).decode()
        del item.embedding[:]
    elif item.embedding_base64:
        unpacked = _unpacked(item.embedding_base64)
        if wanted != "base64":
            item.embedding.extend(unpacked)
            item.ClearField("embedding_base64")
    if not item.embedding and not item.embedding_base64:
        raise AttemptFailed(answers.BROKEN, "answered with an embedding that is none")


def _packed(vector: Any) -> bytes:
    try:
        return struct.pack(f"<{len(vector)}f", *vector)
    except (OverflowError, struct.error):
        raise AttemptFailed(answers.BROKEN, _NO_NUMBERS) from None


def _unpacked(text: str) -> tuple[float, ...]:
    try:
        packed = base64.b64decode(text, validate=True)
        unpacked = struct.unpack(f"<{len(packed) // 4}f", packed)
    except (binascii.Error, ValueError, struct.error):
        raise AttemptFailed(answers.BROKEN, "answered with an embedding that is not base64") from None
    if not all(map(math.isfinite, unpacked)):
        raise AttemptFailed(answers.BROKEN, _NO_NUMBERS)
    return unpacked
