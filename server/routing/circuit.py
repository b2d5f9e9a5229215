"""A circuit breaker: its state, what that rests on, and how long it is open.

https://martinfowler.com/bliki/CircuitBreaker.html. Times are in seconds on a clock that all processes of a
host share.
"""

import asyncio
import random
from dataclasses import dataclass
from typing import Literal

import msgspec

from server.errors import AttemptFailed
from server.routing.observed import Observed
from server.routing.watchers import Key
from server.rows import Breaker

State = Literal["closed", "open", "half_open", "limited", "disabled"]
MOST = 4096  # circuits that are kept; callers choose the names of models

_JITTER = 0.1  # of a cool-down, so that not all come back at once
_SOON = 1.0  # seconds after which to ask again where one request is finding out


class Change(msgspec.Struct, frozen=True):
    """What became of a circuit, as workers tell each other. `times` is how often it has opened in a row."""

    provider: str
    model: str
    state: State
    reason: str = ""
    until: float = 0.0
    times: int = 0


def unproven(model: str) -> State:
    """The state of a circuit while nobody has found out: that of a model, or, without one, of a key."""
    return "open" if model else "disabled"


@dataclass(slots=True)
class Circuit:
    """One breaker: its state, and what it rests on. `until` is when the cool-down or the wait ends."""

    key: Key
    settings: Breaker
    observed: Observed
    state: State = "closed"
    reason: str = ""
    until: float = 0.0
    times: int = 0
    closed_at: float = 0.0
    outstanding: int = 0
    timer: asyncio.TimerHandle | None = None

    def change(self) -> Change:
        """What others must know of it."""
        return Change(*self.key, self.state, self.reason, self.until, self.times)

    def learn(self, change: Change, now: float) -> None:
        """Takes over what another worker has found out."""
        self.state, self.reason, self.until = change.state, change.reason, change.until
        self.times = change.times
        if change.state == "closed":
            self.closed_at = now
            self.observed.forget_failures()

    def open(self, now: float, state: State, reason: str) -> None:
        """Opens it for the next cool-down, twice as long as the one before."""
        self.state, self.reason = state, reason
        self.times = min(self.times + 1, 32)
        self.cool_down(now)

    def cool_down(self, now: float) -> None:
        """Begins the cool-down that it is at, anew."""
        pause = min(self.settings.cool_down * 2.0 ** (self.times - 1), self.settings.longest)
        self.until = now + pause * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret

    def close(self, now: float) -> None:
        """Closes it. How long the next cool-down will be is forgotten only after a while."""
        self.state, self.reason, self.until, self.closed_at = "closed", "", 0.0, now
        self.observed.forget_failures()

    def forget(self, now: float) -> None:
        """Begins with the shortest cool-down again where all has been well for a while."""
        if self.times and self.state == "closed" and now - self.closed_at > self.settings.window:
            self.times = 0

    def left_alone(self, now: float) -> AttemptFailed:
        """Why an attempt may not begin."""
        wait = max(self.until - now, 0.0) or _SOON
        if self.state == "limited":
            told = f"asked us to wait; asked again in {wait:.1f} s"
            return AttemptFailed("rate_limited", told, retry_after=wait)
        again = "it is being tried" if self.state == "half_open" else f"tried again in {wait:.1f} s"
        if not self.key[1]:
            told = f"not enabled ({self.reason}; {again})"
            return AttemptFailed("not_enabled", told, retry_after=wait)
        told = f"not asked, because it failed too often ({self.reason}; {again})"
        return AttemptFailed("circuit_open", told, retry_after=wait)

    def judge(self, now: float) -> str:
        """Why it must open now, by what was observed; empty where it need not."""
        seen, settings = self.observed, self.settings
        if seen.consecutive >= settings.failures:
            return f"{seen.consecutive} attempts in a row failed"
        attempts, failures = seen.counts(now)
        if attempts >= settings.least and failures >= settings.rate * attempts:
            return f"{failures} of {attempts} attempts within {settings.window:g} s failed"
        return ""
