"""How the workers of a host agree on health: each tells the supervisor of its changes, and that the others.

The supervisor's side (`Hub`) puts all changes into one order, the same for every worker, and lets one
worker at a time find out whether a provider is well again. A worker's side (`Link`) waits for nothing.
"""

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from server.control import (
    Changed,
    FromWorker,
    Leave,
    MayProbe,
    Outbox,
    Probe,
    ToWorker,
    line,
    listen,
    make_room,
)
from server.routing.circuit import Change, unproven
from server.routing.watchers import Key

_FROM_WORKER: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(FromWorker)
_TO_WORKER: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)
_PATIENCE = 0.2  # seconds that a worker waits for leave to probe; without an answer it takes it
_LONGEST = 60.0  # seconds that a probe may take at most, before the next one may begin


class Link:
    """The other workers, as one of them sees them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._outbox = Outbox()
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[bool]] = {}
        self._heard = 0  # the count of the last change of others

    def say(self, message: msgspec.Struct) -> None:
        """Says something at once, before `run` begins."""
        self._writer.write(line(message))

    def publish(self, change: Change) -> None:
        """Tells the others of a change. Returns at once."""
        self._outbox.put(_key(change), Changed(change, self._heard))

    async def may_probe(self, change: Change) -> bool:
        """Whether this worker is the one that finds out. Where nobody says so in time, it is."""
        number = next(self._numbers)
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._outbox.put(number, MayProbe(number, change))
        try:
            async with asyncio.timeout(_PATIENCE):
                return await answer
        except TimeoutError:
            return True
        finally:
            del self._asked[number]

    async def run(self, learn: Callable[[Change], None], leave: Callable[[], None]) -> None:
        """Sends and listens until the supervisor is gone. `leave` is called when it is time to go."""

        def take(message: ToWorker) -> None:
            match message:
                case Changed(change, count):
                    self._heard = count
                    learn(change)
                case Probe(number, granted):
                    if (answer := self._asked.get(number)) is not None and not answer.done():
                        answer.set_result(granted)
                case Leave():
                    leave()

        sending = asyncio.create_task(self._outbox.run(self._writer))
        try:
            await listen(self._reader, _TO_WORKER, take, "the supervisor")
        finally:
            sending.cancel()


@dataclass(frozen=True, eq=False)
class Member:
    """A worker, as the hub sees it."""

    name: str
    outbox: Outbox

    def leave(self) -> None:
        """Tells it that another has taken its place."""
        self.outbox.put(Leave, Leave())


@dataclass(frozen=True)
class _Known:
    """The last change of a key, its count, whose it was (nobody's: of one that is gone), and whether that
    one was told of it as well.
    """

    change: Change
    count: int
    by: Member | None
    echoed: bool


@dataclass(frozen=True)
class _Grant:
    by: Member
    until: float


class Hub:
    """What the workers know together. Nothing of a worker's can stop it or make it grow without bound."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._count = itertools.count(1)
        self._members: set[Member] = set()
        self._known: OrderedDict[Any, _Known] = OrderedDict()
        self._grants: OrderedDict[Any, _Grant] = OrderedDict()

    def join(self, name: str) -> Member:
        """Takes a worker in, which is told all there is to know as soon as `serve` runs."""
        member = Member(name, Outbox())
        self._members.add(member)
        for key, known in self._known.items():
            if known.change.state != "closed" or known.change.times:  # all others are so at the start
                member.outbox.put(key, Changed(known.change, known.count))
        return member

    async def serve(
        self, member: Member, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Listens to a worker and talks to it until it is gone."""
        sending = asyncio.create_task(member.outbox.run(writer))
        try:
            await listen(reader, _FROM_WORKER, lambda said: self.take(member, said), member.name)
        finally:
            sending.cancel()
            self._forget(member)

    def take(self, member: Member, message: FromWorker) -> None:
        """Takes what a worker says."""
        match message:
            case Changed(change, heard):
                key = _key(change)
                before = self._known.get(key)
                grant = self._grants.get(key)
                if grant is not None and grant.by is member and change.state != "half_open":
                    del self._grants[key]
                # Who spoke before it heard the last word will hear that later, and must hear its own again.
                sent = before is not None and (before.by is not member or before.echoed)
                crossed = before is not None and sent and before.count > heard
                self._tell(change, member, echo=crossed)
            case MayProbe(number, change):
                member.outbox.put(number, Probe(number, self._grant(member, change)))

    def _tell(self, change: Change, by: Member | None, *, echo: bool = False) -> None:
        key = _key(change)
        known = _Known(change, next(self._count), by, echo)
        self._known[key] = known
        self._known.move_to_end(key)
        make_room(self._known)
        for member in self._members:
            if member is not by or echo:
                member.outbox.put(key, Changed(change, known.count))

    def _grant(self, member: Member, change: Change) -> bool:
        """Whether a worker may probe: not while another does, nor where it knows less than others do."""
        key, now = _key(change), self._clock()
        known, holder = self._known.get(key), self._grants.get(key)
        if known is not None and known.by is not member and not _due(known.change, now):
            return False
        if holder is not None and holder.by is not member and holder.until > now:
            return False
        self._grants[key] = _Grant(member, min(change.until, now + _LONGEST))
        self._grants.move_to_end(key)
        make_room(self._grants)
        return True

    def _forget(self, member: Member) -> None:
        """A worker is gone: what it was about to find out, another may."""
        self._members.discard(member)
        for key in [key for key, grant in self._grants.items() if grant.by is member]:
            del self._grants[key]
        for change in [known.change for known in self._known.values() if known.by is member]:
            if change.state == "half_open":
                again = msgspec.structs.replace(change, state=unproven(change.model), until=self._clock())
                self._tell(again, None)


def _due(change: Change, now: float) -> bool:
    """Whether it is time to find out."""
    return change.state != "closed" and now >= change.until


def _key(change: Change) -> Key:
    return change.provider, change.model
