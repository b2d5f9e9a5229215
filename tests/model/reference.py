"""The reference of routing: what a call may come to. `tests.model.circuits` has the breakers' part."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.model.circuits import Effect
from tests.model.scripts import BASE, FIRST_CONTENT, IDLE, TOTAL, UNKNOWN, Ask, Play, Provider

_STATUS = {
    400: "refused",
    401: "key_refused",
    404: "no_such_model",
    429: "rate_limited",
    500: "server_error",
    503: "server_error",
}
_CAUSES = {"whole": "", "refuse": "connect_failed", "reset": "connection_lost", "silence": "timed_out"}
_ILL = {"connect_failed", "connection_lost", "timed_out", "rate_limited", "server_error", "broken_answer"}
_WELL = {"", "refused", "no_such_model"}
# Where every attempt failed for one of these causes: the code and the reason.
_ALIKE = {
    "rate_limited": ("RESOURCE_EXHAUSTED", "rate_limited"),
    "timed_out": ("DEADLINE_EXCEEDED", "timed_out"),
    "no_such_model": ("NOT_FOUND", "model_not_found"),
    "circuit_open": ("UNAVAILABLE", "circuit_open"),
    "not_enabled": ("UNAVAILABLE", "no_provider_enabled"),
}
_CLOCK = 0.005  # seconds by which a limit may seem to pass early
_BUSY = 1.0  # seconds that a busy machine may take beside a limit
_PATIENCE = 1.0  # seconds that a provider is waited for while another is left


@dataclass(frozen=True)
class Told:
    """An attempt as the caller is told of it; `seconds` is None where the provider was not called."""

    provider: str
    cause: str
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """Who is asked, in order, and who is passed over from the start."""

    asked: tuple[str, ...]
    keyless: tuple[str, ...]


def plan(ask: Ask, fleet: Sequence[Provider]) -> Plan | None:
    """Exactly the named, in their order; or anyone who has a key, by priority. None: a name is unknown."""
    if UNKNOWN in ask.names:
        return None
    known = {provider.id: provider for provider in fleet}
    names = tuple(dict.fromkeys(ask.names))
    if not names:
        keyed = [provider for provider in fleet if provider.keyed]
        return Plan(tuple(one.id for one in sorted(keyed, key=lambda one: (one.priority, one.id))), ())
    return Plan(
        tuple(name for name in names if known[name].keyed),
        tuple(name for name in names if not known[name].keyed),
    )


def cause(play: Play, *, stream: bool) -> str:
    """Why an attempt gives no answer; empty where it gives one."""
    match play.end:
        case "status":
            return _STATUS[play.status]
        case "error" if stream or play.stage != "content":
            return "server_error"
        case "error":
            return "broken_answer"  # half of an answer, and then an error, is no JSON
        case "cut":
            return "connection_lost" if stream else "broken_answer"
        case _:
            return _CAUSES[play.end]


def commits(play: Play, *, stream: bool) -> bool:
    """Whether content reaches the caller, so that nobody else may be asked."""
    return play.end == "whole" or (stream and play.stage == "content")


def causes(ask: Ask, play: Play, told: Told, *, raced: bool) -> set[str]:
    """What an attempt may be told with. On a busy machine a limit may pass that was not meant to."""
    legal = {cause(play, stream=ask.stream)}
    limits = limit(ask, play) - _CLOCK, TOTAL + _BUSY
    if told.seconds is not None and limits[0] <= told.seconds <= limits[1]:
        legal |= {"timed_out"}
    elif play.end == "silence":
        legal = set()
    if play.end == "reset" and commits(play, stream=ask.stream):
        legal |= {"connection_lost"}  # an RST may take the content with it
    return legal | ({"cancelled"} if raced else set())


def committed(ask: Ask, play: Play, told: Told) -> bool:
    """Whether an attempt that failed had certainly given content, so that it is the last."""
    if not ask.stream or play.stage != "content" or told.cause != cause(play, stream=True):
        return False
    first = FIRST_CONTENT if ask.first_content is None else ask.first_content
    sooner = told.seconds is not None and told.seconds < first - _CLOCK
    return play.end in ("error", "cut") or (play.end == "silence" and sooner)


def limit(ask: Ask, play: Play) -> float:
    """Seconds that an attempt lasts at least before a limit of the provider ends it."""
    if not ask.stream:
        return TOTAL
    if play == Play("silence", "content"):
        return IDLE
    return FIRST_CONTENT if ask.first_content is None else ask.first_content


def retried(
    ask: Ask, provider: Provider, play: Play, told: Told, tries: int, last: bool, left: float
) -> tuple[bool, bool]:
    """Whether it may, and whether it must be asked once more, `left` seconds before the deadline.

    A connection that was not made is tried again after the backoff; a 429 or a 503 that says when is waited
    for where that is soon, or, if nobody else is left, within the deadline.
    """
    if tries >= provider.times:
        return False, False
    if told.seconds is None:  # passed over; who asked us to wait is waited for at most where nobody is left
        return told.cause == "rate_limited" and last, False
    backoff = BASE * 2.0**tries
    if told.cause == "connect_failed":
        return left > 0, left > backoff
    if play.retry_after is None or told.cause != cause(play, stream=ask.stream):
        return False, False
    patience = left if last and ask.deadline is not None else _PATIENCE
    soon = play.retry_after <= patience
    return soon and play.retry_after < left, soon and play.retry_after + backoff < left


def effect(ask: Ask, told: Told, play: Play) -> tuple[Effect, float | str]:
    """What an attempt says of the provider's health, and whether it closes the provider.

    That a limit passed which the caller had set says nothing of it.
    """
    own = ask.stream and ask.first_content is not None and ask.first_content < FIRST_CONTENT
    if told.cause == "timed_out" and own and not (play.end == "silence" and commits(play, stream=True)):
        return "none", ""
    if told.cause == "key_refused":
        return "refused", "key_refused"
    if told.cause == "rate_limited" and play.retry_after is not None:
        return "none", float(play.retry_after)
    if told.cause in _WELL:
        return "well", ""
    return ("ill" if told.cause in _ILL else "none"), ""


def all_failed(attempts: Iterable[Told]) -> tuple[str, str]:
    """The code and the reason where nobody is left to ask."""
    found = {told.cause for told in attempts}
    only = found.pop() if len(found) == 1 else ""
    return _ALIKE.get(only, ("UNAVAILABLE", "all_providers_failed"))


def broken(failed: str) -> tuple[str, str]:
    """The code and the reason where a provider failed after content had left for the caller."""
    return ("DEADLINE_EXCEEDED", "timed_out") if failed == "timed_out" else ("UNAVAILABLE", "stream_broken")
