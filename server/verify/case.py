"""What a case of the contract is, and what can come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.verify.peer import Peer

State = Literal["ok", "fault", "not had"]


class Fault(Exception):  # noqa: N818 - it says what was found, and is no error of ours
    """The contract is broken; the message is what came."""


class NotHad(Exception):  # noqa: N818 - as above
    """There is nothing to check, and that is well; the message says why."""


@dataclass(frozen=True)
class Case:
    """One thing that the contract says, and how to find out.

    `check` gives what came, in a few words, or raises `Fault` or `NotHad`.
    """

    name: str  # the group, a slash, and a word
    service: str  # of `server.verify.services.SERVICES`
    asks: str
    wants: str
    mend: str
    check: Callable[[Peer], Awaitable[str]]


@dataclass(frozen=True)
class Outcome:
    """What came of a case, and how long it took in seconds."""

    case: Case
    state: State
    came: str
    seconds: float


def expect(holds: object, came: str) -> None:
    """Raises `Fault` where something does not hold."""
    if not holds:
        raise Fault(came)


def shown(value: object, limit: int = 160) -> str:
    """A value from outside as it can stand in a line: short, and in printable characters."""
    text = repr(value) if isinstance(value, str) else str(value)
    text = "".join(character if character.isprintable() else "?" for character in text[: limit + 1])
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
