"""The dialect on the wire: where requests go and with which headers, and JSON read from answers."""

from collections.abc import Mapping
from typing import Any

import msgspec

from server.drivers import answers, failures
from server.drivers.base import NOTHING, Target
from server.drivers.openai import address, reading, terms
from server.errors import AttemptFailed
from server.operations import Operation
from server.transport import HttpAnswer, HttpRequest

_encode = msgspec.json.Encoder().encode


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


def answered(answer: HttpAnswer, target: Target, member: str = "") -> dict[str, Any]:
    """The answer's JSON object, mended; `member` is what its choices have, if any."""
    return read(answer.body, target, member, "answered with JSON that is not an object", answer.headers)


def read(
    text: bytes, target: Target, member: str, otherwise: str, headers: Mapping[str, str] = NOTHING
) -> dict[str, Any]:
    """A JSON object, mended, that tells of no failure: some servers say 200 and put an error in it.

    Raises `AttemptFailed` (in the words of `otherwise` where it is no object) or `RequestRefused`.
    """
    decoded = answers.decode(text)
    if isinstance(decoded, dict):
        reading.mend(decoded, member, target.row.profile)
    if failures.is_failure(decoded):
        raise failures.read(200, headers, decoded, target)
    if not isinstance(decoded, dict):
        raise AttemptFailed(answers.BROKEN, otherwise)
    return decoded
