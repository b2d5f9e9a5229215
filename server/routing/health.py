"""Passive health: how each provider and each of its models has answered of late, and whether it is asked.

A circuit breaker (https://martinfowler.com/bliki/CircuitBreaker.html) stands before every model of every
provider, and one before each provider as a whole, which a refused key opens. A provider that asks us to
wait is left alone for that time. Times are in seconds on a clock that all processes of a host share.
"""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from server.errors import AttemptFailed, Cause
from server.routing.observed import Observed
from server.routing.watchers import Watchers
from server.rows import Breaker

State = Literal["closed", "open", "half_open", "limited", "disabled"]
Key = tuple[str, str]  # a provider's id, and a model by the provider's own name or nothing
WHOLE = ""  # in place of a model: the provider as a whole

_MOST = 4096  # circuits that are kept; callers choose the names of models
_TICK = 0.005  # seconds by which clocks may differ
_SOON = 1.0  # seconds after which to ask again where one request is finding out
_PROBE = 30.0  # seconds after which one that is finding out is given up, and the next may
_DISABLED = Breaker(cool_down=60, longest=3600)  # of a provider whose key was refused
_JITTER = 0.1  # of a cool-down, so that not all come back at once
_ILL: frozenset[Cause] = frozenset(
    {
        *("connect_failed", "connection_lost", "timed_out", "rate_limited", "access_refused"),
        *("quota_exceeded", "server_error", "broken_answer"),
    }
)
_WELL: frozenset[Cause] = frozenset({"refused", "no_such_model", "parameter_unsupported"})


class Change(msgspec.Struct, frozen=True):
    """What became of a circuit, as workers tell each other. `times` is how often it has opened in a row."""

    provider: str
    model: str
    state: State
    reason: str = ""
    until: float = 0.0
    times: int = 0


class Peers(Protocol):
    """The other workers of the host."""

    def publish(self, change: Change) -> None:
        """Tells them of a change. Returns at once."""
        ...

    async def may_probe(self, change: Change) -> bool:
        """Whether this worker is the one that finds out whether a provider is well again."""
        ...


class Alone:
    """The peers of a worker that has none."""

    def publish(self, change: Change) -> None:
        """There is nobody to tell."""

    async def may_probe(self, change: Change) -> bool:  # noqa: ARG002
        """Nobody else does."""
        return True


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

    def change(self) -> Change:
        """What others must know of it."""
        return Change(*self.key, self.state, self.reason, self.until, self.times)

    def learn(self, change: Change) -> None:
        """Takes over what another worker has found out."""
        self.state, self.reason, self.until = change.state, change.reason, change.until
        self.times = change.times
        if change.state == "closed":
            self.observed.forget_failures()

    def open(self, now: float, state: State, reason: str) -> None:
        """Opens it for the next cool-down, twice as long as the one before."""
        pause = min(self.settings.cool_down * 2.0**self.times, self.settings.longest)
        self.state, self.reason = state, reason
        self.until = now + pause * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        self.times = min(self.times + 1, 32)

    def close(self, now: float) -> None:
        """Closes it. How long the next cool-down will be is forgotten only after a while."""
        self.state, self.reason, self.until, self.closed_at = "closed", "", 0.0, now
        self.observed.forget_failures()

    def judge(self, now: float) -> str:
        """Why it must open now, by what was observed; empty where it need not."""
        seen, settings = self.observed, self.settings
        if seen.consecutive >= settings.failures:
            return f"{seen.consecutive} attempts in a row failed"
        attempts, failures = seen.counts(now)
        if attempts >= settings.least and failures >= settings.rate * attempts:
            return f"{failures} of {attempts} attempts within {settings.window:g} s failed"
        return ""


class Board:
    """All circuits of a worker. `peers` are told of each change, and tell of theirs through `learn`."""

    def __init__(self, peers: Peers | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._peers = peers or Alone()
        self.clock = clock
        self.watchers = Watchers()
        self._circuits: OrderedDict[Key, Circuit] = OrderedDict()
        self._settings: dict[str, Breaker] = {}

    def add(self, provider: str, settings: Breaker) -> None:
        """Makes a provider known."""
        self._settings[provider] = settings

    def circuit(self, provider: str, model: str = WHOLE) -> Circuit:
        """The circuit of a model, or of a provider as a whole; made where it is not there."""
        key = (provider, model)
        circuit = self._circuits.get(key)
        if circuit is None:
            settings = self._settings.get(provider, Breaker())
            own = settings if model else msgspec.structs.replace(_DISABLED, enabled=settings.enabled)
            circuit = self._circuits[key] = Circuit(key, own, Observed(settings.window))
            self._make_room()
        elif model:
            self._circuits.move_to_end(key)
        return circuit

    def peek(self, provider: str, model: str) -> Circuit | None:
        """The circuit of a model, where there is one."""
        return self._circuits.get((provider, model))

    def of(self, provider: str) -> list[Circuit]:
        """All circuits of a provider, that of the whole first."""
        models = [c for key, c in self._circuits.items() if key[0] == provider and key[1]]
        return [self.circuit(provider), *models]

    def disabled(self, provider: str) -> str:
        """Why a provider is disabled; empty where it is not."""
        circuit = self._circuits.get((provider, WHOLE))
        return circuit.reason if circuit is not None and circuit.state == "disabled" else ""

    async def admit(self, provider: str, model: str) -> "Ticket":
        """Lets an attempt begin. Raises `AttemptFailed` where the provider is to be left alone."""
        whole, own = self.circuit(provider), self.circuit(provider, model)
        now = self.clock()
        probed: list[Circuit] = []
        for circuit in (whole, own):
            if circuit.state == "limited" and now >= circuit.until:
                self._close(circuit)
            if circuit.state != "closed":
                probed.append(await self._probe(circuit, now, probed))
        own.outstanding += 1
        return Ticket(self, own, whole, probed)

    async def _probe(self, circuit: Circuit, now: float, held: Iterable[Circuit]) -> Circuit:
        """Makes an attempt the one that finds out; gives up what it `held` where it cannot be."""
        before = circuit.change()
        asked = msgspec.structs.replace(before, state="half_open", until=now + _PROBE)
        due = circuit.state != "limited" and now >= circuit.until
        if not due or not await self._peers.may_probe(asked) or circuit.change() != before:
            for other in held:
                self._reopen(other)
            raise _left_alone(circuit, self.clock())
        circuit.state, circuit.until = "half_open", asked.until
        self.publish(circuit)
        return circuit

    def learn(self, change: Change) -> None:
        """Takes over a change of another worker's; not of providers that a restart has brought it alone."""
        if change.provider not in self._settings:
            return
        self.circuit(change.provider, change.model).learn(change)
        if change.state == "limited":
            self._expire_after(change.until - self.clock())
        self.watchers.tell((change.provider, change.model))

    def limit(self, provider: str, seconds: float) -> None:
        """Leaves a provider alone for as long as it asked."""
        circuit = self.circuit(provider)
        if not circuit.settings.enabled or circuit.state not in ("closed", "limited") or seconds <= 0:
            return
        circuit.state, circuit.reason = "limited", "it asked us to wait"
        circuit.until = max(circuit.until, self.clock() + seconds)
        self._expire_after(seconds)
        self.publish(circuit)

    def disable(self, provider: str, reason: str) -> None:
        """Asks a provider no more, but once in a while: it refused its key."""
        circuit = self.circuit(provider)
        if circuit.settings.enabled and circuit.state in ("closed", "limited"):
            circuit.open(self.clock(), "disabled", reason)
            self.publish(circuit)

    def publish(self, circuit: Circuit) -> None:
        """Tells everybody what became of a circuit."""
        self._peers.publish(circuit.change())
        self.watchers.tell(circuit.key)

    def _expire_after(self, seconds: float) -> None:
        """So that watchers hear of the end of a wait at once, also where nobody asks."""
        asyncio.get_running_loop().call_later(max(seconds, 0) + _TICK, self._expire)

    def _expire(self) -> None:
        now = self.clock()
        for circuit in list(self._circuits.values()):
            if circuit.state == "limited" and now >= circuit.until:
                self._close(circuit)

    def close(self) -> None:
        """Ends all watching."""
        self.watchers.close()

    def _close(self, circuit: Circuit) -> None:
        circuit.close(self.clock())
        self.watchers.tell(circuit.key)

    def _reopen(self, circuit: Circuit) -> None:
        """The attempt that was to find out told nothing: the next may."""
        circuit.state, circuit.until = "open" if circuit.key[1] else "disabled", self.clock()
        self.publish(circuit)

    def _make_room(self) -> None:
        if len(self._circuits) <= _MOST:
            return
        for key, circuit in self._circuits.items():
            if key[1] and circuit.state == "closed" and not circuit.outstanding:
                del self._circuits[key]
                return


class Ticket:
    """One attempt that was let through; told how it went, once, and closed at its end."""

    __slots__ = ("_board", "_own", "_probed", "_settled", "_slow", "_started", "_whole")

    def __init__(self, board: Board, own: Circuit, whole: Circuit, probed: list[Circuit]) -> None:
        self._board = board
        self._own = own
        self._whole = whole
        self._probed = probed
        self._started = board.clock()
        self._slow = False
        self._settled = False

    def content(self, *, whole: bool = False) -> None:
        """The first content has come, or the whole answer, which may take its time."""
        took = self._board.clock() - self._started
        observed = self._own.observed
        (observed.whole if whole else observed.first_content).add(took)
        self._slow = not whole and took > self._own.settings.slow

    def succeeded(self) -> None:
        """It gave its answer to the end."""
        if self._slow:
            self._ill(f"its first content took more than {self._own.settings.slow:g} s")
        else:
            self._well()

    def failed(self, error: AttemptFailed) -> None:
        """It gave none, or not to its end."""
        board = self._board
        if error.cause == "key_refused":
            self._settled = True
            self._key_refused(error)
        elif error.cause == "rate_limited" and error.retry_after is not None:
            board.limit(self._own.key[0], error.retry_after)
        elif error.cause in _ILL:
            self._ill(error.message)
        elif error.cause in _WELL:
            self._well()

    def refused(self) -> None:
        """It said that the request is wrong, and is well."""
        self._well()

    def outwaited(self) -> None:
        """The caller's time was over, or another was faster: that tells only where it was slow anyway."""
        if self._board.clock() - self._started > self._own.settings.slow:
            self._ill(f"sent no content within {self._own.settings.slow:g} s")

    def close(self) -> None:
        """The attempt is over; where nothing was learnt of it, the next may find out."""
        self._own.outstanding -= 1
        if not self._settled:
            for circuit in self._probed:
                self._board._reopen(circuit)  # noqa: SLF001 - the two are one

    def _well(self) -> None:
        self._settled = True
        now, own = self._board.clock(), self._own
        own.observed.succeeded(now)
        for circuit in self._probed:
            circuit.close(now)
            self._board.publish(circuit)
        if own.times and own.state == "closed" and now - own.closed_at > own.settings.window:
            own.times = 0

    def _ill(self, message: str) -> None:
        self._settled = True
        now, own = self._board.clock(), self._own
        own.observed.failed(now)
        if own in self._probed:
            own.open(now, "open", message)
            self._board.publish(own)
        elif own.settings.enabled and own.state == "closed" and (why := own.judge(now)):
            own.open(now, "open", f"{why}; the last: {message}")
            self._board.publish(own)
        if self._whole in self._probed:  # the key was taken, whatever else was wrong
            self._whole.close(now)
            self._board.publish(self._whole)

    def _key_refused(self, error: AttemptFailed) -> None:
        now = self._board.clock()
        self._own.observed.failed(now)
        if self._whole in self._probed:
            self._whole.open(now, "disabled", error.message)
            self._board.publish(self._whole)
        else:
            self._board.disable(self._own.key[0], error.message)
        if self._own in self._probed:
            self._board._reopen(self._own)  # noqa: SLF001 - the two are one


def _left_alone(circuit: Circuit, now: float) -> AttemptFailed:
    """Why an attempt may not begin."""
    wait = max(circuit.until - now, 0.0) or _SOON
    if circuit.state == "limited":
        told = f"asked us to wait; asked again in {wait:.1f} s"
        return AttemptFailed("rate_limited", told, retry_after=wait)
    again = "it is being tried" if circuit.state == "half_open" else f"tried again in {wait:.1f} s"
    if circuit.state == "disabled" or not circuit.key[1]:
        return AttemptFailed("not_enabled", f"not enabled ({circuit.reason}; {again})", retry_after=wait)
    told = f"not asked, because it failed too often ({circuit.reason}; {again})"
    return AttemptFailed("circuit_open", told, retry_after=wait)
