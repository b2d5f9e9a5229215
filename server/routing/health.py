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
from itertools import islice
from typing import Literal, Protocol

import msgspec

from server.errors import AttemptFailed, Cause
from server.routing.observed import Observed
from server.routing.watchers import Key, Watchers
from server.rows import Breaker

State = Literal["closed", "open", "half_open", "limited", "disabled"]
WHOLE = ""  # in place of a model: the provider as a whole

_MOST = 4096  # circuits that are kept; callers choose the names of models
_LOOKED_AT = 64  # of them, to find one that can go
_TICK = 0.005  # seconds by which clocks may differ
_SOON = 1.0  # seconds after which to ask again where one request is finding out
_PROBE = 30.0  # seconds after which one that is finding out is given up, and the next may
_LONG = 1.0  # seconds without content that are never too long
_KNOWN = 10  # latencies from which on the usual one is known
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
        self._keys: dict[str, str] = {}

    def add(self, provider: str, settings: Breaker, key_env: str = "") -> None:
        """Makes a provider known, and the variable that its key is in."""
        self._settings[provider] = settings
        self._keys[provider] = key_env

    def circuit(self, provider: str, model: str = WHOLE) -> Circuit:
        """The circuit of a model, or of a provider as a whole; made where it is not there."""
        key = (provider, model)
        circuit = self._circuits.get(key)
        if circuit is None:
            settings = self._settings.get(provider, Breaker())
            own = settings if model else msgspec.structs.replace(_DISABLED, enabled=settings.enabled)
            circuit = Circuit(key, own, Observed(settings.window))
            self._make_room()
            self._circuits[key] = circuit
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
        return circuit.reason if circuit is not None and circuit.state in ("disabled", "half_open") else ""

    def admit_now(self, provider: str, model: str) -> "Ticket | None":
        """Lets an attempt begin where all is well; None where that needs a closer look: see `admit`."""
        whole, own = self.circuit(provider), self.circuit(provider, model)
        if whole.state != "closed" or own.state != "closed":
            return None
        return Ticket(self, own, whole)

    async def admit(self, provider: str, model: str) -> "Ticket":
        """Lets an attempt begin. Raises `AttemptFailed` where the provider is to be left alone."""
        whole, own = self.circuit(provider), self.circuit(provider, model)
        probes: list[Probe] = []
        try:
            for circuit in (whole, own):
                if circuit.state == "limited" and self.clock() >= circuit.until:
                    self._close(circuit)
                if circuit.state != "closed":
                    probes.append(await self._probe(circuit))
        except BaseException:
            for probe in probes:
                probe.undecided(called=False)
            raise
        return Ticket(self, own, whole, probes)

    async def _probe(self, circuit: Circuit) -> "Probe":
        """Makes an attempt the one that finds out."""
        before, now = circuit.change(), self.clock()
        asked = msgspec.structs.replace(before, state="half_open", until=now + _PROBE)
        if circuit.state == "limited" or now < circuit.until:
            raise _left_alone(circuit, now)
        try:
            granted = await self._peers.may_probe(asked)
        except BaseException:
            self.publish(circuit)  # so that others may find out
            raise
        if not granted:
            raise _left_alone(circuit, self.clock())
        if circuit.change() != before:  # by what another worker has found out meanwhile
            self.publish(circuit)
            raise _left_alone(circuit, self.clock())
        circuit.state, circuit.until = "half_open", asked.until
        self.publish(circuit)
        return Probe(self, circuit)

    def learn(self, change: Change) -> None:
        """Takes over a change of another worker's; not of providers that a restart has brought it alone."""
        if change.provider not in self._settings:
            return
        circuit = self.circuit(change.provider, change.model)
        circuit.learn(change, self.clock())
        if change.state == "limited":
            self._expire_later(circuit)
        self.watchers.tell(circuit.key)

    def limit(self, provider: str, seconds: float) -> None:
        """Leaves a provider alone for as long as it asked."""
        circuit = self.circuit(provider)
        if not circuit.settings.enabled or circuit.state not in ("closed", "limited"):
            return
        longest = self._settings.get(provider, Breaker()).longest_wait
        circuit.state, circuit.reason = "limited", "it asked us to wait"
        circuit.until = max(circuit.until, self.clock() + min(seconds, longest))
        self._expire_later(circuit)
        self.publish(circuit)

    def disable(self, provider: str, status: int | None) -> None:
        """Asks a provider no more, but once in a while: it refused its key."""
        circuit = self.circuit(provider)
        if circuit.settings.enabled and circuit.state in ("closed", "limited"):
            circuit.open(self.clock(), "disabled", self.refusal(provider, status))
            self.publish(circuit)

    def refusal(self, provider: str, status: int | None) -> str:
        """What is said of a provider that refused its key."""
        name = self._keys.get(provider)
        return f"it refused {f'the key in {name}' if name else 'to answer without a key'} ({status or 401})"

    def publish(self, circuit: Circuit) -> None:
        """Tells everybody what became of a circuit."""
        self._peers.publish(circuit.change())
        self.watchers.tell(circuit.key)

    def close(self) -> None:
        """Ends all watching."""
        self.watchers.close()

    def _expire_later(self, circuit: Circuit) -> None:
        """So that watchers hear of the end of a wait at once, also where nobody asks."""
        if circuit.timer is not None:
            circuit.timer.cancel()
        after = max(circuit.until - self.clock(), 0) + _TICK
        circuit.timer = asyncio.get_running_loop().call_later(after, self._expire, circuit)

    def _expire(self, circuit: Circuit) -> None:
        circuit.timer = None
        if circuit.state == "limited" and self.clock() >= circuit.until:
            self._close(circuit)

    def _close(self, circuit: Circuit) -> None:
        circuit.close(self.clock())
        self.watchers.tell(circuit.key)

    def _make_room(self) -> None:
        """Forgets the model that was asked for the longest time ago: callers choose the names."""
        if len(self._circuits) < _MOST:
            return
        now = self.clock()
        for key, circuit in islice(self._circuits.items(), _LOOKED_AT):
            if key[1] and not circuit.outstanding and now >= circuit.until:
                del self._circuits[key]
                return
        oldest = next((key for key in self._circuits if key[1]), None)
        if oldest is not None:
            del self._circuits[oldest]


class Probe:
    """One attempt's right to find out for a circuit, until it is given up or another has it."""

    def __init__(self, board: Board, circuit: Circuit) -> None:
        self._board = board
        self._circuit = circuit
        self._change = circuit.change()

    @property
    def _holds(self) -> bool:
        return self._circuit.change() == self._change

    def won(self) -> None:
        """All is well."""
        if self._holds:
            self._circuit.close(self._board.clock())
            self._board.publish(self._circuit)

    def lost(self, reason: str) -> None:
        """It is not: for longer now."""
        if self._holds:
            self._circuit.open(self._board.clock(), self._closed_state, reason)
            self._board.publish(self._circuit)

    def undecided(self, *, called: bool) -> None:
        """Nothing was learnt. The next may find out; where the provider was called, after as long again."""
        if not self._holds:
            return
        circuit, now = self._circuit, self._board.clock()
        circuit.state, circuit.until = self._closed_state, now
        if called:
            circuit.cool_down(now)
        self._board.publish(circuit)

    @property
    def _closed_state(self) -> State:
        return "open" if self._circuit.key[1] else "disabled"


class Ticket:
    """One attempt that was let through, and what it tells of the provider. It must be closed."""

    __slots__ = ("_board", "_has_content", "_key_probe", "_own", "_probe", "_slow", "_started")

    def __init__(self, board: Board, own: Circuit, whole: Circuit, probes: Iterable[Probe] = ()) -> None:
        found = {probe._circuit.key: probe for probe in probes}  # noqa: SLF001 - of this module
        self._board = board
        self._own = own
        self._probe = found.get(own.key)
        self._key_probe = found.get(whole.key)
        self._started: float | None = None
        self._slow = self._has_content = False
        own.outstanding += 1

    def called(self) -> None:
        """The provider is called now."""
        self._started = self._board.clock()

    @property
    def _waited(self) -> float:
        return 0.0 if self._started is None else self._board.clock() - self._started

    def content(self, *, whole: bool = False) -> None:
        """The first content has come, or the whole answer, which may take its time."""
        observed = self._own.observed
        (observed.whole if whole else observed.first_content).add(self._waited)
        self._slow = not whole and self._waited > self._own.settings.slow
        self._has_content = True
        self._decide(well=not self._slow, reason=self._slowness)

    def succeeded(self) -> None:
        """It gave its answer to the end."""
        if self._slow:
            self._ill(self._slowness)
        else:
            self._well()

    def failed(self, error: AttemptFailed) -> None:
        """It gave none, or not to its end."""
        if error.status is not None and error.cause != "key_refused" and self._key_probe is not None:
            self._key_probe.won()  # the key was taken, whatever else is wrong
        if error.cause == "key_refused":
            self._key_refused(error)
        elif error.cause == "rate_limited" and error.retry_after:
            self._board.limit(self._own.key[0], error.retry_after)
        elif not error.blame:
            self.outwaited()
        elif error.cause in _ILL:
            self._ill(error.cause if error.status is None else f"{error.cause} ({error.status})")
        elif error.cause in _WELL:
            self._well()

    def refused(self) -> None:
        """It said that the request is wrong, and is well."""
        self._well()

    def outwaited(self, *, whole: bool = False) -> None:
        """The caller would not wait longer: that tells of the provider where it is seldom that slow."""
        seen, settings = self._own.observed, self._own.settings
        usual = (seen.whole if whole else seen.first_content).usual(_KNOWN)
        limit = settings.patience if usual is None else max(_LONG, 2 * usual)
        if self._has_content or (whole and usual is None):  # how long an answer may be is not known
            return
        if self._waited > limit:
            self._ill(f"no content within {self._waited:.1f} s")

    def close(self) -> None:
        """The attempt is over; where nothing was learnt of it, the next may find out."""
        self._own.outstanding -= 1
        for probe in filter(None, (self._probe, self._key_probe)):
            probe.undecided(called=self._started is not None)

    @property
    def _slowness(self) -> str:
        return f"a first content after more than {self._own.settings.slow:g} s"

    def _decide(self, *, well: bool, reason: str = "") -> None:
        for probe in filter(None, (self._probe, self._key_probe)):
            if well or probe is self._key_probe:
                probe.won()
            else:
                probe.lost(reason)

    def _well(self) -> None:
        now = self._board.clock()
        self._own.observed.succeeded(now)
        self._decide(well=True)
        for circuit in (self._own, self._board.circuit(self._own.key[0])):
            circuit.forget(now)

    def _ill(self, what: str) -> None:
        now, own = self._board.clock(), self._own
        own.observed.failed(now)
        if self._probe is not None:
            self._probe.lost(what)
        if own.settings.enabled and own.state == "closed" and (why := own.judge(now)):
            own.open(now, "open", f"{why}; the last: {what}")
            self._board.publish(own)

    def _key_refused(self, error: AttemptFailed) -> None:
        provider = self._own.key[0]
        self._own.observed.failed(self._board.clock())
        if self._key_probe is not None:
            self._key_probe.lost(self._board.refusal(provider, error.status))
        self._board.disable(provider, error.status)


def _left_alone(circuit: Circuit, now: float) -> AttemptFailed:
    """Why an attempt may not begin."""
    wait = max(circuit.until - now, 0.0) or _SOON
    if circuit.state == "limited":
        told = f"asked us to wait; asked again in {wait:.1f} s"
        return AttemptFailed("rate_limited", told, retry_after=wait)
    again = "it is being tried" if circuit.state == "half_open" else f"tried again in {wait:.1f} s"
    if not circuit.key[1]:
        return AttemptFailed("not_enabled", f"not enabled ({circuit.reason}; {again})", retry_after=wait)
    told = f"not asked, because it failed too often ({circuit.reason}; {again})"
    return AttemptFailed("circuit_open", told, retry_after=wait)
