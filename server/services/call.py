"""What every servicer needs to know of a call: who calls, from where, until when, and how it goes."""

import asyncio
import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import grpc.aio

from server.drivers.http import DEADLINE_HEADER
from server.errors import InterferenceError, InvalidRequest, Unavailable
from server.operations import Request
from server.routing.journal import Journal
from server.routing.roster import Provider, Roster

Context = grpc.aio.ServicerContext[Any, Any]

MAX_TIMEOUT = 3600.0  # seconds
_TIMEOUT = re.compile(r"([0-9]{1,8}(?:\.[0-9]{1,9})?)(ms|s|m|)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "": 1.0}
# A moment before a gRPC deadline, at which gRPC ends the call itself and says nothing of the attempts.
MARGIN = 0.02  # seconds

# What a call's task is cancelled with when the server ends, and not because its caller left.
ENDING = "the server is ending"
# The same where its time is over and its reader has stopped reading.
STALLED = "its reader does not read"
_STALLED = 0.5  # seconds beyond its time, in which a stream that is read ends with a word about it


@dataclass(slots=True)
class Call:
    """A running call: its headers (names in lower case; of a repeated one the last) and what became of it.

    `rest` says whether Envoy transcoded it, `error` what it ended with, told in its stream or otherwise.
    """

    headers: Mapping[str, str]
    rest: bool
    journal: Journal = field(default_factory=Journal)
    error: InterferenceError | None = None


_current: ContextVar[Call] = ContextVar("call")


def begin(context: Context) -> Call:
    """Opens the call that the current task handles."""
    headers = {key: str(value) for key, value in context.invocation_metadata() or ()}
    call = Call(headers, "x-envoy-original-path" in headers)
    _current.set(call)
    return call


def current() -> Call:
    """The call that the current task handles."""
    return _current.get()


def set_deadline(call: Call, context: Context) -> None:
    """Reads until when the call must be answered. Raises `InvalidRequest` for a timeout that is none."""
    remaining = context.time_remaining()
    if remaining is not None:
        call.journal.limit(remaining - MARGIN)
    if (given := call.headers.get(DEADLINE_HEADER)) is not None:
        call.journal.limit(_seconds(given))


def _seconds(given: str) -> float:
    found = _TIMEOUT.fullmatch(given.strip())
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < seconds <= MAX_TIMEOUT:
        raise InvalidRequest(
            f"{DEADLINE_HEADER} must be a number of seconds up to {MAX_TIMEOUT:g}, or with a unit: "
            "500ms, 2s, 1m.",
            param=DEADLINE_HEADER,
        )
    return seconds


class bounded:  # noqa: N801 - reads as the function that it stands for
    """Cancels a stream whose time is over: while a reader does not read, nobody looks at the clock."""

    __slots__ = ("_timer", "_until")

    def __init__(self, journal: Journal) -> None:
        self._until = journal.ends_at
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if self._until is not None and task is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._until + _STALLED, task.cancel, STALLED)

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()


class ending:  # noqa: N801 - the same
    """Makes an error for the caller of the server's end, which comes as a cancellation."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if not isinstance(error, asyncio.CancelledError) or error.args != (ENDING,):
            return
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
        raise Unavailable("The server is being stopped. Try again.", reason="stopping") from None


def chosen() -> list[str]:
    """The providers that the path of a REST call names (`/api/{provider}/v1/...`)."""
    given = current().headers.get("x-interference-provider")
    if given is None:
        return []
    names = list(dict.fromkeys(given.split()))
    if not names:
        raise InvalidRequest("The path names no provider: /api/{provider}/v1/...", param="provider")
    return names


def enabled(roster: Roster) -> list[Provider]:
    """The providers that the path names, or all; those that are enabled."""
    names = chosen()
    asked = [roster.named(name) for name in names] if names else roster
    return [provider for provider in asked if provider.enabled]


def choose(request: Request) -> None:
    """Makes the path's providers those of the request. Raises `InvalidRequest` where that names others."""
    if not (names := chosen()):
        return
    if request.providers and list(dict.fromkeys(request.providers)) != names:
        raise InvalidRequest(
            f"provider is {' '.join(request.providers)} in the body and {' '.join(names)} in the path; "
            "name it in one place.",
            param="provider",
        )
    request.providers[:] = names
