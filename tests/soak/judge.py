"""Which ends of a request are legal, and whether one is: from what was asked and what came to a verdict.

Legal are: a whole answer of one provider, to the letter; the beginning of one and then exactly one error,
within the stream over REST and as the status over gRPC; an error before any content, with its attempts;
and the caller's own leaving, up to which all must be as said before.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.soak import says
from tests.soak.asks import Ask

ILLEGAL, LEFT_EARLY, LEFT_LATE = "illegal", "left before the first content", "left after the first content"
_EARLY = 0.05  # seconds that a deadline's error may come before the deadline: the server's margin over gRPC
# The errors that requests of the soak can meet: HTTP status, gRPC code, `error.type`.
_ERRORS = (
    (400, "INVALID_ARGUMENT", "invalid_request_error"),
    (429, "RESOURCE_EXHAUSTED", "rate_limit_error"),
    (503, "UNAVAILABLE", "api_error"),
    (504, "DEADLINE_EXCEEDED", "timeout_error"),
)
_BY_CODE: dict[int | str, tuple[int, str]] = {
    code: (status, kind) for status, name, kind in _ERRORS for code in (status, name)
}
# https://www.rfc-editor.org/rfc/rfc9651#name-lists, as far as ids and causes need it.
_ATTEMPT = re.compile(r'"([^"]*)"(?:;cause=([a-z_]+))?')
# Of `interference.v1.Attempt.cause`, those of a provider that gave no answer. What is missing cannot happen
# here: every provider has the models and takes the parameters.
_CAUSES = frozenset(
    {
        *("circuit_open", "overloaded", "connect_failed", "connection_lost", "timed_out", "cancelled"),
        *("rate_limited", "server_error", "broken_answer", "refused"),
    }
)


@dataclass
class Came:
    """What a caller saw. `code` is the HTTP status or the gRPC code's name; 200 or OK where it began."""

    code: int | str = ""
    content: str = ""
    providers: set[str] = field(default_factory=set)  # that the answer, or each of its chunks, names
    finished: bool = False  # whether a finish reason came
    done: bool = False  # whether the answer came to its end: whole, `[DONE]`, or status OK
    error: dict[str, Any] = field(default_factory=dict)  # the body of OpenAI's shape
    routing: dict[str, Any] = field(default_factory=dict)  # `routing` of the answer, or of all its chunks
    headers: dict[str, str] = field(default_factory=dict)  # of REST, without x-interference-
    words: str = ""  # of a gRPC status
    left: bool = False  # whether the caller left
    fault: str = ""  # what no caller may ever see, in words
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a request ended, in a word; and, where that is not legal, why."""

    outcome: str
    illegal: str = ""


def judge(ask: Ask, came: Came) -> Verdict:
    """Judges the end of a request."""
    faults = [*_faults(ask, came)]
    return Verdict(ILLEGAL, "; ".join(faults)) if faults else Verdict(_outcome(ask, came))


def _outcome(ask: Ask, came: Came) -> str:
    kind = "stream" if ask.stream else "answer"
    if came.left:
        return LEFT_LATE if came.content else LEFT_EARLY
    if came.done:
        return f"whole {kind}"
    status, _ = _BY_CODE.get(came.code, (came.code, ""))
    return "stream broken off with an error" if came.content else f"error {status}"


def _faults(ask: Ask, came: Came) -> Iterator[str]:
    """All that is wrong with an end."""
    if came.fault:
        yield came.fault
        return
    if came.seconds > ask.patience:
        yield f"took {came.seconds:.2f} s"
    yield from _wrong_text(ask, came)
    if came.left:
        return
    if ask.way == "REST":
        yield from _wrong_headers(came)
    if came.done and came.error:
        yield "ended well and with an error"
    elif came.done:
        yield from _not_whole(ask, came)
    elif _outwaited(ask, came):
        return
    elif not came.error:
        yield f"ended with neither an end nor an error ({came.code} {came.words})"
    else:
        yield from _wrong_error(ask, came)


def _outwaited(ask: Ask, came: Came) -> bool:
    """Whether the caller's own gRPC library ended the call at its deadline, whatever came just then."""
    if ask.timeout is None or ask.way == "REST" or ask.saying != "call":
        return False
    return came.code == "DEADLINE_EXCEEDED" and came.seconds >= ask.timeout - _EARLY


def _wrong_text(ask: Ask, came: Came) -> Iterator[str]:
    if len(came.providers) > 1:
        yield f"mixes {' and '.join(sorted(came.providers))}"
    for provider in came.providers - set(ask.allowed):
        yield f"{provider!r} answered, which was not asked for"
    if not came.content:
        return
    content = says.without_padding(came.content)
    if not any(says.begins(content, provider, ask.prompt) for provider in came.providers):
        yield f"text of nobody who answered: {content[:200]!r}"


def _not_whole(ask: Ask, came: Came) -> Iterator[str]:
    if not came.finished:
        yield "ended well without a finish reason"
    said = ["".join(says.pieces(provider, ask.prompt)) for provider in came.providers]
    if said != [says.without_padding(came.content)]:
        yield f"ended well, but is not whole: {came.content[-100:]!r}"
    yield from _wrong_routing(came)


def _wrong_routing(came: Came) -> Iterator[str]:
    """What is told of an answer: attempts that failed, then the one that answered; how long it took."""
    *others, last = came.routing.get("attempts") or [{}]
    if last.get("cause") or {last.get("provider")} != came.providers:
        yield f"the last attempt of the routing is {last}"
    yield from _wrong_attempts(others)
    if missing := {"time_to_first_content_ms", "total_ms"} - set(came.routing):
        yield f"the routing has no {' and '.join(sorted(missing))}"


def _wrong_headers(came: Came) -> Iterator[str]:
    """The headers say what the body does; there an error's attempts may be cut short to fit a trailer."""
    if came.code == 200 and {came.headers.get("provider")} != came.providers:
        yield f"the headers name {came.headers.get('provider')}"
    told = _ATTEMPT.findall(came.headers.get("attempts", ""))
    body = came.routing.get("attempts") if came.code == 200 else came.error.get("attempts")
    attempts = [(attempt.get("provider", ""), attempt.get("cause", "")) for attempt in body or []]
    if told[: len(attempts)] != attempts or (came.code == 200 and len(told) > len(attempts)):
        yield f"the headers tell of {told}, the body of {attempts}"


def _wrong_attempts(attempts: list[dict[str, Any]]) -> Iterator[str]:
    for attempt in attempts:
        if attempt.get("provider") not in says.PROVIDERS or attempt.get("cause") not in _CAUSES:
            yield f"an attempt that cannot be: {attempt}"


def _wrong_error(ask: Ask, came: Came) -> Iterator[str]:
    error = came.error.get("error") or {}
    attempts = came.error.get("attempts") or []
    yield from _wrong_attempts(attempts)
    if came.code in (200, "OK"):
        if not came.content and not came.finished:
            yield "an error in the stream before any content"
        if error.get("type") not in {kind for _, kind in _BY_CODE.values()}:
            yield f"an error of type {error.get('type')}"
    elif came.code not in _BY_CODE:
        yield f"an error with the code {came.code}: {error}"
    elif _BY_CODE[came.code][1] != error.get("type"):
        yield f"an error with the code {came.code} of type {error.get('type')}"
    if error.get("code") == "deadline_passed":
        if ask.timeout is None or came.seconds < ask.timeout - _EARLY:
            yield f"the deadline passed after {came.seconds:.2f} s"
    elif not attempts and error.get("code") != "overloaded":
        yield f"an error without attempts: {error}"
    elif error.get("code") == "all_providers_failed" and not came.content:
        missing = set(ask.allowed) - {attempt.get("provider") for attempt in attempts}
        if missing and ask.providers:
            yield f"gave up without asking {' and '.join(sorted(missing))}"
