"""What every dialect does with the JSON of an answer: reads it, and completes the messages made of it."""

import time
from copy import copy
from typing import Any, Final, TypeVar

import msgspec
from google.protobuf.message import Message

from interference.v1.embeddings_pb2 import CreateEmbeddingsResponse
from server import forms
from server.drivers.base import Target
from server.errors import AttemptFailed
from server.operations import Chunk

M = TypeVar("M", bound=Message)
C = TypeVar("C", bound=Chunk)
BROKEN: Final = "broken_answer"
OWN: Final = (("provider", ""),)  # an upstream's own `provider` is not the contract's
_decode = msgspec.json.Decoder().decode


def decode(body: bytes) -> Any:
    """Reads JSON. Raises `AttemptFailed` for what is none."""
    try:
        return _decode(body)
    except forms.JSON_FAULTS:
        raise AttemptFailed(BROKEN, "answered with something that is not JSON") from None


def try_decode(body: bytes) -> Any:
    """Reads JSON; None for what is none."""
    try:
        return _decode(body)
    except forms.JSON_FAULTS:
        return None


def lift(message_type: type[M], decoded: dict[str, Any], spellings: forms.Spellings = OWN) -> M:
    """Reads an object into a message; `provider` is ours to say, an upstream's own goes to `extra`."""
    try:
        return forms.lift(message_type, decoded, spellings)
    except forms.JSON_FAULTS:
        raise AttemptFailed(BROKEN, "answered with JSON that is nested beyond reason") from None


def check_choices(completion: Any, member: str) -> None:
    """Numbers an answer's choices. Raises `AttemptFailed` where there are none, or they lack `member`."""
    if not number(completion, member):
        raise AttemptFailed(BROKEN, "answered without choices, or with some of another shape")


def number(message: Any, member: str = "") -> bool:
    """Gives the choices their places where the upstream does not. Whether there are any, and all have
    `member`, if that is said.
    """
    index = -1
    for index, choice in enumerate(message.choices[:]):
        if member and not choice.HasField(member):
            return False
        if not choice.HasField("index"):
            choice.index = index
    return index >= 0


def complete(message: Any, target: Target) -> None:
    """Fills in what every answer says: who gave it, with which model, and when."""
    if not message.model:
        message.model = target.model
    message.provider = target.row.id
    if not isinstance(message, CreateEmbeddingsResponse) and not message.HasField("created"):
        message.created = int(time.time())


def usage_apart(chunk: C) -> C:
    """Takes the usage out of a chunk, and of one that has nothing else all of it: the chunk to end with."""
    last = copy(chunk)
    last.ClearField("choices")
    chunk.ClearField("usage")
    if chunk.choices:
        last.ClearField("extra")
    else:
        chunk.ClearField("extra")
    return last
