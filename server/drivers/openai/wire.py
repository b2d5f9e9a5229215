"""The dialect on the wire: where requests go and with which headers, and JSON read from answers."""

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from google.protobuf.message import Message

from server import forms
from server.drivers import failures
from server.drivers.base import Target
from server.drivers.openai import reading
from server.errors import AttemptFailed
from server.operations import Operation
from server.transport import HttpAnswer, HttpRequest

M = TypeVar("M", bound=Message)
_NONE: Mapping[str, str] = MappingProxyType({})
BROKEN: Final = "broken_answer"
# Where each operation is found below the base URL, where the row's profile does not say otherwise.
_PATHS = {
    "models": "models",
    "chat": "chat/completions",
    "text_completions": "completions",
    "embeddings": "embeddings",
    "images": "images/generations",
}


def url(target: Target, name: str) -> str:
    """The address of an operation, or of the list of models."""
    profile = target.row.profile
    path = profile.paths.get(name, _PATHS[name]).replace("{model}", quote(target.model, safe=""))
    query = f"?{urlencode(profile.query)}" if profile.query else ""
    return f"{target.row.base_url.rstrip('/')}/{path}{query}"


def headers(target: Target) -> dict[str, str]:
    """The key in the header that the vendor reads it from."""
    if not target.key:
        return {}
    if own := target.row.profile.key_header:
        return {own: target.key}
    return {"authorization": f"Bearer {target.key}"}


def post(target: Target, operation: Operation, body: dict[str, Any]) -> HttpRequest:
    """Asks for an operation."""
    sent = {**headers(target), "content-type": "application/json"}
    return HttpRequest("POST", url(target, operation.name), sent, msgspec.json.encode(body))


def decode(body: bytes) -> Any:
    """Reads JSON. Raises `AttemptFailed` for what is none."""
    try:
        return msgspec.json.decode(body)
    except forms.JSON_FAULTS:
        raise AttemptFailed(BROKEN, "answered with something that is not JSON") from None


def try_decode(body: bytes) -> Any:
    """Reads JSON; None for what is none."""
    try:
        return msgspec.json.decode(body)
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


def lift(message_type: type[M], decoded: dict[str, Any], spellings: forms.Spellings = ()) -> M:
    """Reads an object into a message; `provider` is ours to say, an upstream's own goes to `extra`."""
    try:
        return forms.lift(message_type, decoded, (*spellings, ("provider", "")))
    except forms.JSON_FAULTS:
        raise AttemptFailed(BROKEN, "answered with JSON that is nested beyond reason") from None


def check_choices(completion: Any, member: str) -> None:
    """Numbers an answer's choices. Raises `AttemptFailed` where there are none, or they lack `member`."""
    if not completion.choices or not all(choice.HasField(member) for choice in completion.choices):
        raise AttemptFailed(BROKEN, "answered without choices, or with some of another shape")
    number(completion)


def number(message: Any) -> None:
    """Gives the choices their places where the upstream does not."""
    for index, choice in enumerate(message.choices):
        if not choice.HasField("index"):
            choice.index = index


def complete(message: Any, target: Target) -> None:
    """Fills in what every answer says: who gave it, with which model, and when."""
    message.model = message.model or target.model
    message.provider = target.row.id
    if message.DESCRIPTOR.fields_by_name.get("created") and not message.HasField("created"):
        message.created = int(time.time())
