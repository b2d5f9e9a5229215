"""The dialect on the wire: where requests go and with which headers, JSON read from answers, and errors."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from google.protobuf.message import Message

from server import forms
from server.drivers import answers, failures
from server.drivers.anthropic import options
from server.drivers.base import Target
from server.errors import AttemptFailed
from server.transport import HttpRequest

# The statuses of errors that are told in a stream, where there is none.
# https://platform.claude.com/docs/en/api/errors
_STATUSES: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_UNPAID: Final = re.compile(r"credit balance is too low")  # told as a fault of the request, too
_encode = msgspec.json.Encoder().encode


def headers(target: Target) -> dict[str, str]:
    """The key, the version, and what is tried out."""
    own = options.of(target)
    sent = {"anthropic-version": own.version}
    if own.betas:
        sent["anthropic-beta"] = ",".join(own.betas)
    if target.key:
        sent["x-api-key"] = target.key
    return sent


def get(target: Target, path: str) -> HttpRequest:
    """Asks for what there is."""
    return HttpRequest("GET", _url(target, path), headers(target))


def post(target: Target, path: str, body: dict[str, Any]) -> HttpRequest:
    """Asks for an answer."""
    sent = headers(target)
    sent["content-type"] = "application/json"
    return HttpRequest("POST", _url(target, path), sent, _encode(body))


def _url(target: Target, path: str) -> str:
    return f"{target.row.base_url.rstrip('/')}/{path}"


def read(text: bytes, target: Target) -> dict[str, Any]:
    """A JSON object that tells of no failure. Raises `AttemptFailed` or `RequestRefused`."""
    decoded = answers.decode(text)
    if not isinstance(decoded, dict):
        raise AttemptFailed(answers.BROKEN, "answered with JSON that is not an object")
    if decoded.get("type") == "error" or decoded.get("error"):
        raise failure(_status(decoded.get("error")), {}, decoded, target)
    return decoded


def failure(status: int, headers: Mapping[str, str], body: Any, target: Target) -> Exception:
    """What an error means: `AttemptFailed` or `RequestRefused`."""
    if status == 400 and _UNPAID.search(_message(body)):
        status = 402
    return failures.read(status, headers, body, target)


def _status(error: Any) -> int:
    kind = error.get("type") if isinstance(error, dict) else None
    return _STATUSES.get(kind, 500) if isinstance(kind, str) else 500


def _message(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else ""


def without(members: dict[str, Any], *names: str) -> dict[str, Any]:
    """The members that have no place of their own: what an upstream, or a caller, has added."""
    return {name: value for name, value in members.items() if name not in names}


def lowered(message: Message, *ours: str) -> dict[str, Any]:
    """The members of a message, with all that a caller has added, and those of `extra` that are ours.

    Others in `extra` are of another provider's answer, given back; Anthropic refuses what it does not know.
    """
    members = forms.lower(message)
    if not message.HasField("extra"):
        return members
    given: Any = message
    added = msgspec.json.decode(given.extra_json or "{}", type=dict[str, msgspec.Raw])
    kept = {*ours, *added, *message.DESCRIPTOR.fields_by_name}
    return without(members, *(name for name in given.extra.fields if name not in kept))


def untold(param: str, what: str) -> AttemptFailed:
    """What of a request cannot be said in this dialect: another provider may take it."""
    return AttemptFailed("parameter_unsupported", what, param=param, blame=False)
