"""Passive health: how each provider and each of its models has answered of late, and whether it is asked.

A circuit breaker stands before every model of every provider, and one before each provider as a whole,
which a refused key opens. A provider that asks us to wait is left alone for that time.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Protocol

import msgspec

from server.routing.circuit import MOST, Change, Circuit
from server.routing.observed import Observed
from server.routing.ticket import Probe, Ticket
from server.routing.watchers import Key, Watchers
from server.rows import Breaker

WHOLE = ""  # in place of a model: the provider as a whole

_LOOKED_AT = 64  # circuits, to find one that can go
_TICK = 0.005  # seconds by which clocks may differ
_PROBE = 30.0  # seconds after which one that is finding out is given up, and the next may
_DISABLED = Breaker(cool_down=60, longest=3600)  # of a provider whose key was refused


def _of_a_key(settings: Breaker) -> Breaker:
    """The settings of a provider as a whole, from those of its models."""
    return msgspec.structs.replace(_DISABLED, enabled=settings.enabled, longest_wait=settings.longest_wait)


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
            own = settings if model else _of_a_key(settings)
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

    def admit_now(self, provider: str, model: str) -> Ticket | None:
        """Lets an attempt begin where all is well; None where that needs a closer look: see `admit`."""
        whole, own = self.circuit(provider), self.circuit(provider, model)
        if whole.state != "closed" or own.state != "closed":
            return None
        return Ticket(self, own, whole)

    async def admit(self, provider: str, model: str) -> Ticket:
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

    async def _probe(self, circuit: Circuit) -> Probe:
        """Makes an attempt the one that finds out."""
        before, now = circuit.change(), self.clock()
        asked = msgspec.structs.replace(before, state="half_open", until=now + _PROBE)
        if circuit.state == "limited" or now < circuit.until:
            raise circuit.left_alone(now)
        try:
            granted = await self._peers.may_probe(asked)
        except BaseException:
            self.publish(circuit)  # so that others may find out
            raise
        if not granted:
            raise circuit.left_alone(self.clock())
        if circuit.change() != before:  # by what another worker has found out meanwhile
            self.publish(circuit)
            raise circuit.left_alone(self.clock())
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
        circuit.state, circuit.reason = "limited", "it asked us to wait"
        circuit.until = max(circuit.until, self.clock() + min(seconds, circuit.settings.longest_wait))
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
        return f"it refused {f'the key in {name}' if name else 'to answer'} ({status or 401})"

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
        if len(self._circuits) < MOST:
            return
        now = self.clock()
        for key, circuit in islice(self._circuits.items(), _LOOKED_AT):
            if key[1] and not circuit.outstanding and now >= circuit.until:
                del self._circuits[key]
                return
        oldest = next((key for key in self._circuits if key[1]), None)
        if oldest is not None:
            del self._circuits[oldest]
