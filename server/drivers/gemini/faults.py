"""What Google's errors mean. https://google.aip.dev/193, https://ai.google.dev/gemini-api/docs/troubleshooting

Most is read as of any other vendor. Here is what Google says elsewhere: in the details, when to return;
with a 400, that a key is wrong; in words alone, that a model lacks a parameter.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from server.drivers import failures
from server.drivers.base import Target
from server.errors import AttemptFailed, RequestRefused

# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_STATUSES = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
# "Penalty is not enabled for this model", "Multiple candidates is not enabled for models/...", "Thinking
# level is not supported for this model".
_LACKING = re.compile(r"\bnot (enabled|supported) (for|by|in) (this model|models?/)", re.IGNORECASE)
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


def read(status: int, headers: Mapping[str, str], body: Any, target: Target) -> Exception:
    """`AttemptFailed` or `RequestRefused`; of an error in a stream the status is 200."""
    error = _error(body)
    if status == 200:
        status = _status(error)
    if "retry-after" not in headers and (delay := _delay(error)):
        headers = {**headers, "retry-after": delay}
    told = failures.read(_meant(status, error), headers, {"error": error} if error else body, target)
    if isinstance(told, AttemptFailed):
        told.status = status
    if isinstance(told, RequestRefused) and _LACKING.search(told.message):
        return AttemptFailed("parameter_unsupported", told.message, status=status, blame=False)
    return told


def _meant(status: int, error: Mapping[str, Any]) -> int:
    """The status that says what is meant by this one."""
    if status != 400:
        return 503 if status == 499 else status  # it was cancelled, and not by us
    if any(str(detail.get("reason")).startswith("API_KEY_") for detail in _details(error)):
        return 401
    # Not in this country, or not without billing.
    return 403 if error.get("status") == "FAILED_PRECONDITION" else status


def _error(body: Any) -> dict[str, Any]:
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _status(error: Mapping[str, Any]) -> int:
    code, word = error.get("code"), error.get("status")
    if isinstance(code, int) and 400 <= code <= 599:
        return code
    return _STATUSES.get(word, 200) if isinstance(word, str) else 200


def _delay(error: Mapping[str, Any]) -> str:
    """Seconds, from `RetryInfo`."""
    for detail in _details(error):
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and (found := _DELAY.fullmatch(delay)):
            return found[1]
    return ""


def _details(error: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            yield detail
