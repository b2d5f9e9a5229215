"""What an upstream's answer means that is no success, for every dialect that tells it in HTTP and JSON.

A 4xx is the request's fault, but for those that tell of a key, a limit, or something that the provider
lacks. Upstream words are hostile: they are bounded, and never carry our key.
"""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from server.drivers.base import Target
from server.errors import AttemptFailed, Cause, RequestRefused

# What a status that is not the request's fault is called in an attempt.
_CAUSES: dict[int, Cause] = {
    401: "key_refused",
    402: "quota_exceeded",
    403: "access_refused",
    404: "no_such_model",
    408: "timed_out",
    409: "conflict",
    425: "too_early",
    429: "rate_limited",
}
# Codes of a 400 that say what the provider lacks, not what is wrong with the request.
_LACKS: dict[str, Cause] = {
    "model_not_found": "no_such_model",
    "model_not_supported": "no_such_model",
    "unknown_model": "no_such_model",
    "unsupported_parameter": "parameter_unsupported",
    "unsupported_value": "parameter_unsupported",
    "wrong_api_format": "parameter_unsupported",  # Cerebras
}
# The same in the words of those that have no code for it: Mistral, Groq, xAI, Anthropic (the last two).
_LACKING = re.compile(
    r"extra_forbidden|property '[^']*' is unsupported|[Aa]rgument not supported"
    r"|Extra inputs are not permitted|(?:not supported|deprecated) (?:on|for|by) this model"
)
_REASON = re.compile(r"[A-Za-z0-9_.-]{1,63}")
_PARAM = re.compile(r"[A-Za-z0-9_.\[\]-]{1,63}")  # messages[0].role


def is_failure(decoded: Any) -> bool:
    """Whether a 200, or an event of a stream, tells of a failure.

    OpenRouter sends `error` beside a choice (https://openrouter.ai/docs/api-reference/streaming), vLLM and
    Mistral an object of the type `error`, Cerebras the error's members bare, Gemini a list with one in it.
    """
    if isinstance(decoded, list) and len(decoded) == 1:
        decoded = decoded[0]
    if not isinstance(decoded, dict):
        return False
    if decoded.get("error") or decoded.get("object") in ("error", "Error"):
        return True
    if "message" in decoded and "code" in decoded and not decoded.keys() & {"choices", "data"}:
        return True
    choices = decoded.get("choices")
    if not isinstance(choices, list):
        return False
    for choice in choices:
        if isinstance(choice, dict) and (choice.get("error") or choice.get("finish_reason") == "error"):
            return True
    return False


def read(status: int, headers: Mapping[str, str], body: Any, target: Target) -> Exception:
    """Whether the provider could not answer, or the request is wrong, and in which words."""
    told = _told(body)
    code = told.get("code")
    if status == 200:  # an error inside a success: its code may be the status (OpenRouter)
        status = code if isinstance(code, int) and 400 <= code <= 599 else 200
    message = words(told.get("message"), target)
    reason = _word(code, target) or _word(told.get("type"), target) or ""
    param = _word(told.get("param"), target, _PARAM)
    cause = _cause(status, reason, param, message)
    if cause == "refused":
        return RequestRefused(
            f"{target.row.id} refused the request ({status}): {message or 'it gave no reason'}",
            reason=reason,
            param=param,
            provider=target.row.id,
            http_status=status,
        )
    if 300 <= status < 400:
        message = "it answered with a redirect, which is not followed"
    if cause == "key_refused" and target.row.key_env:
        message = f"it refused the key in {target.row.key_env}. {message}".strip()
    elif cause == "key_refused":
        message = f"it wants a key, and its row names none (key_env). {message}".strip()
    return AttemptFailed(
        cause,
        message or f"it answered with status {status} and no reason that can be read",
        status=status,
        retry_after=_retry_after(headers.get("retry-after")),
        param=param,
    )


def _cause(status: int, reason: str, param: str | None, message: str) -> Cause:
    if status in _CAUSES:
        return _CAUSES[status]
    if status >= 500:
        return "server_error"
    if not 400 <= status < 500:
        return "broken_answer"
    if reason not in _LACKS and _LACKING.search(message):
        return "parameter_unsupported"
    return _LACKS.get(reason) or ("no_such_model" if param == "model" else "refused")


def _told(body: Any) -> dict[str, Any]:
    """The error object of a body, whichever way the server shapes it."""
    if isinstance(body, list) and len(body) == 1:  # Gemini
        body = body[0]
    if not isinstance(body, dict):
        return {}
    choices = body.get("choices")
    if "error" not in body and isinstance(choices, list):  # of one of them (OpenRouter)
        body = next((one for one in choices if isinstance(one, dict) and one.get("error")), body)
    errors = body.get("errors")
    listed = errors[0] if isinstance(errors, list) and errors else body  # Cloudflare
    error = body.get("error", listed)
    if not isinstance(error, dict):
        return {"message": error}
    kind = error.get("type") or error.get("status")
    return {**error, "message": error.get("message") or error.get("detail"), "type": kind}


def words(message: Any, target: Target) -> str:
    """An upstream's message in one line of bounded length, without our key."""
    if not isinstance(message, str):
        return "" if message is None else words(msgspec.json.encode(message).decode(), target)
    if target.key:
        message = message.replace(target.key, "[key]")
    return " ".join(message.split())[:1000]


def _word(value: Any, target: Target, form: re.Pattern[str] = _REASON) -> str | None:
    """A word for programs, as an upstream says it; anything else is no word."""
    if not isinstance(value, str) or not form.fullmatch(value):
        return None
    return None if target.key and target.key in value else value


def _retry_after(value: str | None) -> float | None:
    """Seconds, from either form of the header (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), 86_400.0) if seconds == seconds else None
