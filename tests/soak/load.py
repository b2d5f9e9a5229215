"""Sends the soak's requests from many callers at once, and counts how they end."""

import asyncio
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from tests.soak import asks
from tests.soak.asks import Ask
from tests.soak.callers import Callers
from tests.soak.judge import ILLEGAL, Came, judge

_PROGRESS = 10.0  # seconds
_SHOWN = 10  # illegal ends that are told in full


Met = Callable[[int], Awaitable[list[str]]]


@dataclass
class Illegal:
    """An illegal end, why it is, which answers the request met upstream, and its lines in the log."""

    ask: Ask
    came: Came
    reason: str
    met: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """What came of the requests. Latencies in seconds, of whole answers and of errors at deadlines."""

    requests: int = 0
    elapsed: float = 0.0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # by outcome and way
    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    causes: Counter[str] = field(default_factory=Counter)  # of attempts that callers were told of
    illegal: list[Illegal] = field(default_factory=list)  # the first ones

    @property
    def failures(self) -> int:
        """How many ended illegally."""
        return self.count(ILLEGAL)

    def count(self, outcome: str) -> int:
        """How many ended so."""
        return sum(self.outcomes[outcome, way] for way in asks.WAYS)

    def add(self, ask: Ask, came: Came) -> list[Illegal]:
        """Takes the end of a request. Gives it back where it is illegal and to be told in full."""
        verdict = judge(ask, came)
        self.requests += 1
        self.outcomes[verdict.outcome, ask.way] += 1
        told = came.error or came.routing
        self.causes.update(attempt.get("cause") or "none" for attempt in told.get("attempts", ()))
        if verdict.outcome.startswith("whole"):
            self.latencies[f"{ask.way}, {verdict.outcome}"].append(came.seconds)
        if ask.timeout is not None and (came.error.get("error") or {}).get("code") == "deadline_passed":
            self.latencies[f"{ask.way}, behind its deadline"].append(came.seconds - ask.timeout)
        if not verdict.illegal or len(self.illegal) == _SHOWN:
            return []
        self.illegal.append(Illegal(ask, came, verdict.illegal))
        return self.illegal[-1:]


@dataclass(frozen=True, slots=True)
class Load:
    """How much to send: `seconds` long, or `requests` many where that is given."""

    seed: str
    callers: int
    seconds: float = 0.0
    requests: int | None = None


async def run(load: Load, callers: Callers, numbers: Iterator[int], tally: Tally, met: Met) -> None:
    """Sends requests with the next numbers and counts their ends; a line of progress every ten seconds."""
    began = time.monotonic()
    tickets = _tickets(load, numbers, began)

    async def call() -> None:
        for number in tickets:
            ask = asks.draw(load.seed, number)
            for illegal in tally.add(ask, await callers.send(ask)):
                illegal.met = await met(number)

    progress = asyncio.create_task(_tell(tally, lambda: time.monotonic() - began))
    try:
        await asyncio.gather(*(call() for _ in range(load.callers)))
    finally:
        progress.cancel()
    tally.elapsed += time.monotonic() - began


def _tickets(load: Load, numbers: Iterator[int], began: float) -> Iterator[int]:
    for sent, number in enumerate(numbers):
        over = time.monotonic() - began >= load.seconds if load.requests is None else sent >= load.requests
        if over:
            return
        yield number


async def _tell(tally: Tally, elapsed: Callable[[], float]) -> None:
    before = tally.requests
    while True:
        await asyncio.sleep(_PROGRESS)
        rate = (tally.requests - before) / _PROGRESS
        before = tally.requests
        sys.stderr.write(
            f"{elapsed():6.0f} s  {tally.requests:>8} requests  {rate:>6.0f}/s  {tally.failures} illegal\n"
        )
