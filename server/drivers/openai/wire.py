"""The dialect on the wire: where requests go and with which headers, and JSON read from answers."""

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec
from google.protobuf.message import Message

from server import forms
from server.drivers import failures
from server.drivers.base import Target
from server.drivers.openai import address, reading, terms
from server.errors import AttemptFailed
from server.operations import Operation
from server.transport import HttpAnswer, HttpRequest

M = TypeVar("M", bound=Message)
_NONE: Mapping[str, str] = MappingProxyType({})
BROKEN: Final = "broken_answer"
OWN: Final = (("provider", ""),)  # an upstream's own `provider` is not the contract's
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def headers(target: Target) -> dict[str, str]:
    """The key in the header that the vendor reads it from."""
    if not target.key:
        return {}
    if own := target.row.profile.key_header:
        return {own: target.key}
    return {"authorization": f"Bearer {target.key}"}


def post(target: Target, operation: Operation, body: dict[str, Any]) -> HttpRequest:
    """Asks for an operation."""
    row = target.row
    url = terms.of(row, operation).url or address.url(row, operation.name, target.model)
    sent = headers(target)
    sent["content-type"] = "application/json"
    return HttpRequest("POST", url, sent, _encode(body))


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


def answered(answer: HttpAnswer, target: Target, member: str = "") -> dict[str, Any]:
    """The answer's JSON object, mended; `member` is what its choices have, if any."""
    return read(answer.body, target, member, "answered with JSON that is not an object", answer.headers)


def read(
    text: bytes, target: Target, member: str, otherwise: str, headers: Mapping[str, str] = _NONE
) -> dict[str, Any]:
    """A JSON object, mended, that tells of no failure: some servers say 200 and put an error in it.

    Raises `AttemptFailed` (in the words of `otherwise` where it is no object) or `RequestRefused`.
    """
    decoded = decode(text)
    if isinstance(decoded, dict):
        reading.mend(decoded, member, target.row.profile)
    if failures.is_failure(decoded):
        raise failures.read(200, headers, decoded, target)
    if not isinstance(decoded, dict):
        raise AttemptFailed(BROKEN, otherwise)
    return decoded


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
    for index, choice in enumerate(message.choices):
        if member and not choice.HasField(member):
            return False
        if not choice.HasField("index"):
            choice.index = index
    return index >= 0


def complete(message: Any, target: Target) -> None:
    """Fills in what every answer says: who gave it, with which model, and when."""
    message.model = message.model or target.model
    message.provider = target.row.id
    if message.DESCRIPTOR.fields_by_name.get("created") and not message.HasField("created"):
        message.created = int(time.time())
