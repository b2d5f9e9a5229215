"""The reference of breakers: in which states a provider's may be, after all that could be seen of it.

What a caller sees does not always settle a state (how long a cool-down is, whether an answer was over when
its caller left), so a breaker is a set of possible states, and each observation narrows it.
"""

from dataclasses import dataclass, replace
from typing import Literal

from tests.model.scripts import COOL_DOWN, LONGEST, Provider

Effect = Literal["well", "ill", "refused", "none"]  # refused: its key
_JITTER = 0.11  # of a cool-down
_CLOCKS = 0.005  # seconds by which two clocks may differ


@dataclass(frozen=True)
class Span:
    """When something happened: within these seconds."""

    start: float
    end: float

    def later(self, least: float, most: float) -> "Span":
        """So many seconds after it."""
        return Span(self.start + least, self.end + most)

    def may_be_over(self, now: "Span") -> bool:
        """Whether it may have passed by now."""
        return now.end >= self.start - _CLOCKS

    def may_be_ahead(self, now: "Span") -> bool:
        """Whether it may still have to come."""
        return now.start <= self.end + _CLOCKS


@dataclass(frozen=True)
class Circuit:
    """The breaker of a provider's model. `until`: the end of its cool-down, None where it is closed."""

    row: int = 0  # failures, one after the other
    attempts: int = 0
    failures: int = 0
    opened: int = 0  # how often
    until: Span | None = None

    def after(self, effect: Effect, provider: Provider, now: Span) -> "Circuit":
        """What it is after an attempt that it let through."""
        if effect == "none":
            return self._undecided(now)
        if effect == "well":
            if self.until is not None:
                return Circuit(opened=self.opened)
            return replace(self, row=0, attempts=self.attempts + 1)
        ill = replace(self, row=self.row + 1, attempts=self.attempts + 1, failures=self.failures + 1)
        if effect == "refused":
            return ill._undecided(now)
        often = ill.attempts >= provider.least and ill.failures * 2 >= ill.attempts
        if not provider.breaker or not (self.until or often or ill.row >= provider.failures):
            return ill
        pause = _pause(self.opened)
        until = now.later(pause * (1 - _JITTER), pause * (1 + _JITTER))
        return replace(ill, opened=self.opened + 1, until=until)

    def _undecided(self, now: Span) -> "Circuit":
        """One who was to find out has not: at once the next may, or after as long again."""
        if self.until is None:
            return self
        return replace(self, until=now.later(0, _pause(self.opened - 1) * (1 + _JITTER)))


def _pause(opened: int) -> float:
    """How long the cool-down is, in seconds, of one that was opened so often before."""
    return float(min(COOL_DOWN * 2.0**opened, LONGEST))


@dataclass(frozen=True)
class Whole:
    """The breaker of a provider with all its models."""

    limited: Span | None = None
    disabled: bool = False


@dataclass(frozen=True)
class Health:
    """The possible states of the breaker of a provider's model, and of the provider's as a whole."""

    own: frozenset[Circuit] = frozenset((Circuit(),))
    whole: frozenset[Whole] = frozenset((Whole(),))

    @property
    def possible(self) -> bool:
        """Whether there is a state left that explains all that was seen."""
        return bool(self.own and self.whole)

    def let_through(self, now: Span) -> "Health":
        """What is left where an attempt was let through."""
        own = (circuit for circuit in self.own if circuit.until is None or circuit.until.may_be_over(now))
        return Health(frozenset(own), self._free(now))

    def passed_over(self, cause: str, now: Span) -> "Health":
        """What is left where an attempt was passed over for this cause."""
        match cause:
            case "not_enabled":
                return replace(self, whole=frozenset(whole for whole in self.whole if whole.disabled))
            case "rate_limited":
                limited = (w for w in self.whole if w.limited is not None and w.limited.may_be_ahead(now))
                return replace(self, whole=frozenset(limited))
            case "circuit_open":
                own = (c for c in self.own if c.until is not None and c.until.may_be_ahead(now))
                return Health(frozenset(own), self._free(now))
        return Health(frozenset(), frozenset())

    def after(self, effect: Effect, closes: float | str, provider: Provider, now: Span) -> "Health":
        """What it is after an attempt. `closes`: seconds that the provider asked for, or `key_refused`."""
        own = frozenset(circuit.after(effect, provider, now) for circuit in self.own)
        if provider.breaker and closes == "key_refused":
            return Health(own, frozenset((Whole(disabled=True),)))
        if provider.breaker and isinstance(closes, float):
            return Health(own, frozenset((Whole(limited=now.later(closes, closes)),)))
        return Health(own, self.whole)

    def told(self, state: str, row: int) -> "Health":
        """What is left where the model's breaker is told to be so, after `row` failures in a row."""
        open_ = state == "open"
        own = (c for c in self.own if (c.until is not None) is open_ and c.row == row)
        return replace(self, own=frozenset(own))

    def __or__(self, other: "Health") -> "Health":
        return Health(self.own | other.own, self.whole | other.whole)

    def _free(self, now: Span) -> frozenset[Whole]:
        over = (w.limited is None or w.limited.may_be_over(now) for w in self.whole if not w.disabled)
        return frozenset((Whole(),)) if any(over) else frozenset()
