"""What a provider of our own contract answers, read and completed: its messages are as hostile as any."""

import math
import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar
from uuid import uuid4

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message

from interference.v1.completion_pb2 import ChatCompletion
from interference.v1.completions_pb2 import TextCompletion
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse
from interference.v1.images_pb2 import GenerateImagesResponse
from server.drivers import answers
from server.drivers.base import Target
from server.drivers.openai import reading
from server.drivers.openai.embeddings import settle
from server.errors import AttemptFailed
from server.operations import Answer, Chunk, Request

M = TypeVar("M", bound=Message)
UPSTREAM: Final = "upstream"  # the member of `extra` that says what the provider says of itself
_FLOATS: Final = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
# How the bytes of a number end that is none (IEEE 754, little-endian). Text in UTF-8 never has them.
_MAYBE_ENDLESS: Final = re.compile(rb"[\xf0-\xff][\x7f\xff]")


def parsed(kind: type[M], data: bytes) -> M:
    """Reads a message. Raises `AttemptFailed` for what is none, and for numbers that JSON does not know."""
    try:
        message = kind.FromString(data)
    except DecodeError:
        raise AttemptFailed(
            answers.BROKEN, "answered with something that is not a message of the contract"
        ) from None
    if _MAYBE_ENDLESS.search(data) and not _is_finite(message):
        raise AttemptFailed(answers.BROKEN, "answered with a number that is none")
    return message


def whole(kind: type[Answer], data: bytes, request: Request, target: Target) -> Answer:
    """Reads a whole answer."""
    answer = parsed(kind, data)
    tell(answer, target)
    if isinstance(answer, ChatCompletion):
        _chat(answer)
    elif isinstance(answer, TextCompletion):
        _text(answer)
    elif isinstance(answer, GenerateImagesResponse):
        if not answer.data or not all(item.url or item.b64_json for item in answer.data):
            raise AttemptFailed(answers.BROKEN, "answered without images")
    elif isinstance(answer, CreateEmbeddingsResponse) and isinstance(request, CreateEmbeddingsRequest):
        answer.object = "list"
        settle(answer, request)
    answers.complete(answer, target)
    return answer


def tell(message: Answer | Chunk, target: Target, *, name: bool = True) -> None:
    """Moves what the provider says of how it came to its answer to `extra`: those fields are ours to fill.

    `name` says whether the name that it gives itself, or its own provider, is told, too.
    """
    told: dict[str, Any] = {}
    if name and message.provider and message.provider != target.row.id:
        told["provider"] = message.provider
    if message.HasField("routing"):
        told["routing"] = MessageToDict(message.routing, preserving_proto_field_name=True)
        message.ClearField("routing")
    if not told:
        return
    if deeper := UPSTREAM in message.extra.fields:
        told[UPSTREAM] = MessageToDict(message.extra.fields[UPSTREAM])
    message.extra.update({UPSTREAM: told})
    if deeper:  # messages may be nested so deeply and no more
        parsed(type(message), message.SerializeToString())


def _chat(answer: ChatCompletion) -> None:
    answers.check_choices(answer, "message")
    _check_places(choice.index for choice in answer.choices)
    answer.id = answer.id or f"chatcmpl-{uuid4().hex}"
    answer.object = "chat.completion"
    for choice in answer.choices:
        message = choice.message
        message.role = message.role or "assistant"
        reading.name_calls(message)
        if not choice.finish_reason:
            choice.finish_reason = "tool_calls" if message.tool_calls else "stop"


def _text(answer: TextCompletion) -> None:
    answers.check_choices(answer, "text")
    _check_places(choice.index for choice in answer.choices)
    answer.id = answer.id or f"cmpl-{uuid4().hex}"
    answer.object = "text_completion"
    for choice in answer.choices:
        choice.finish_reason = choice.finish_reason or "stop"


def _check_places(places: Iterable[int]) -> None:
    given = list(places)
    if min(given) < 0 or len(set(given)) < len(given):
        raise AttemptFailed(answers.BROKEN, "answered with choices in places that are none")


def _is_finite(message: Message) -> bool:
    """Whether all numbers in it are: JSON has no others."""
    for field, value in message.ListFields():
        many = value if field.is_repeated else (value,)
        if field.type in _FLOATS:
            if not all(map(math.isfinite, many)):
                return False
        elif field.message_type is not None:
            if field.message_type.GetOptions().map_entry:
                many = [one for one in value.values() if isinstance(one, Message)]
            if not all(map(_is_finite, many)):
                return False
    return True
