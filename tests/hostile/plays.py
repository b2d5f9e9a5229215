"""Plays cases against the service, many at a time, and keeps what the callers saw."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from tests.calls import Outcome, body, over_grpc, rest
from tests.hostile.table import Case
from tests.hostile.upstream import Hostile
from tests.service import Service

WAYS = ("rest", "grpc")
_BUSY = 3  # threads for the cases that need the processor, and
_WAITING = 48  # for those that wait for a limit to pass
_GREEDY = 2  # and, after them, for those that leave little of the processor to others
_seeds = count(1)


@dataclass(frozen=True)
class Play:
    """A case, the way in, and whether the good provider is named after the faulty one."""

    case: Case
    way: str
    good_next: bool


@dataclass(frozen=True)
class Seen:
    """What a caller saw (or how it failed to read it), after how many seconds, and who was asked."""

    outcome: Outcome | Exception
    seconds: float
    asked: tuple[str, ...]


def ask(service: Service, way: str, providers: str, *, stream: bool, **fields: Any) -> Outcome:
    """Asks over REST, or over gRPC through Envoy."""
    if way == "grpc":
        return over_grpc(service, providers, stream=stream, **fields)
    return rest(service, body(providers, stream=stream, **fields))


def play_all(service: Service, hostile: Hostile, cases: Iterable[Case]) -> Mapping[Play, Seen]:
    """Plays each case in each way, alone and with the good provider next; the greedy ones last."""

    def play(one: Play) -> Seen:
        seed = next(_seeds)
        providers = one.case.provider + (" good" if one.good_next else "")
        began = time.monotonic()
        seen = Seen(Outcome(""), 0, ())
        try:
            outcome = ask(service, one.way, providers, stream=one.case.kind == "stream", seed=seed)
            seen = replace(seen, outcome=outcome)
        except Exception as error:
            seen = replace(seen, outcome=error)
        return replace(seen, seconds=time.monotonic() - began, asked=tuple(hostile.asked[seed]))

    plays = [Play(case, way, good) for case in cases for way in WAYS for good in (False, True)]
    running: dict[Play, Future[Seen]] = {}
    with ThreadPoolExecutor(_WAITING) as waiting, ThreadPoolExecutor(_BUSY) as busy:
        for one in plays:
            if not one.case.greed:
                running[one] = (waiting if one.case.waits else busy).submit(play, one)
    with ThreadPoolExecutor(_GREEDY) as greedy:
        for one in sorted(plays, key=lambda one: one.case.greed):
            if one.case.greed:
                running[one] = greedy.submit(play, one)
    return {one: future.result() for one, future in running.items()}
