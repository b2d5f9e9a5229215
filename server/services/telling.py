"""How a call is told of beside its answer: in the headers of REST, and in one line of the log."""

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from server.errors import Attempt
from server.services.call import Call

_log = logging.getLogger("interference.calls")
_MAX_HEADER = 1024  # bytes of the header about the attempts
_MAX_ID = 128  # characters of a request id, which is the caller's to choose
_MAX_WORDS = 300  # characters of an error's message

Headers = tuple[tuple[str, str], ...]


def headers(call: Call) -> Headers:
    """Who answers, and the attempts up to now."""
    served = call.journal.served
    attempts = attempts_header(call.journal.attempts)
    if served is None:
        return attempts
    return (("x-interference-provider", served.provider), *attempts)


def attempts_header(attempts: Sequence[Attempt]) -> Headers:
    """A list of the providers as a structured field (RFC 9651), the cause and duration of each attempt
    as parameters. Where it would be too long, the last are left out.
    """
    kept: list[str] = []
    left = _MAX_HEADER
    for item in map(_item, attempts):
        left -= len(item) + 2
        if left < 0:
            break
        kept.append(item)
    return (("x-interference-attempts", ", ".join(kept)),) if kept else ()


def _item(attempt: Attempt) -> str:
    """A provider's id has no characters that a string of RFC 9651 must escape."""
    item = f'"{attempt.provider}"'
    if attempt.cause:
        item += f";cause={attempt.cause}"
    if attempt.duration_ms is not None:
        item += f";duration_ms={attempt.duration_ms:.1f}"
    return item


def write_lines(stream: TextIO) -> None:
    """Writes the lines of calls to a stream, each as it is."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _log.handlers[:] = [handler]
    _log.setLevel(logging.INFO)
    _log.propagate = False


def log(call: Call, method: str, status: str) -> None:
    """Writes the line of a call that has ended: one JSON object."""
    if not _log.isEnabledFor(logging.INFO):
        return
    journal = call.journal
    journal.total_ms = journal.total_ms or journal.elapsed_ms()
    line: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "event": "call",
        "request_id": call.headers.get("x-request-id", "")[:_MAX_ID],
        "method": method,
        "via": "rest" if call.rest else "grpc",
        "status": status,
        "model": journal.model,
        "provider": journal.served.provider if journal.served else "",
        "attempts": _attempts(journal.attempts),
        "time_to_first_content_ms": journal.first_content_ms,
        "total_ms": journal.total_ms,
    }
    if journal.usage is not None:
        line["prompt_tokens"], line["completion_tokens"] = journal.usage
    if call.error is not None:
        line["error"] = {"reason": call.error.reason, "message": call.error.message[:_MAX_WORDS]}
    _log.info(json.dumps({name: value for name, value in line.items() if value not in (None, "", [])}))


def _attempts(attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    return [
        {
            name: value
            for name, value in (
                ("provider", attempt.provider),
                ("model", attempt.model),
                ("cause", attempt.cause),
                ("status", attempt.status),
                ("duration_ms", attempt.duration_ms),
            )
            if value not in (None, "")
        }
        for attempt in attempts
    ]
