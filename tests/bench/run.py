"""The parts of a run. Whatever is compared alternates: machines are shared and noisy, so the figures of two
runs say little, and the ratios within one say much.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench import gateways
from tests.bench.gateways import DIRECT, MODEL, OURS, PLAIN, REST, STRAIGHT, Gateway, Way
from tests.bench.loads import BURST, MIXED, UNARY, Ask, Load
from tests.bench.measuring import CallsFailedError, Client, Figures, Turn, figures, measure, rss

KILO, MEGA = 1000, 1_000_000
CHUNK_COUNTS = (16, 64, 256, 1024)
BODY_SIZES = (KILO, 64 * KILO, MEGA, 8 * MEGA)
ROW_COUNTS = (1, 30, 300)
WORKERS, CHUNKS, BYTES, ROWS, ANY = "workers", "chunks", "bytes", "rows", "rows, none named"
_SLICE = 2000  # calls of a way, after which the other has its turn


@dataclass(frozen=True)
class Case:
    """A load on a way into a gateway."""

    gateway: str
    way: str
    load: str


@dataclass(frozen=True)
class Grown:
    """What a load costs Interference with so many of something: workers, chunks, bytes, rows."""

    by: str
    value: int
    case: Case
    figures: Figures


@dataclass(frozen=True)
class Memory:
    """MiB of a worker after so many calls, and after so many more."""

    calls: tuple[int, int]
    mib: tuple[float, float]


_Part = tuple[Gateway, Way, Load]


def compare(
    callers: Sequence[Client], those: Iterable[Gateway], loads: Iterable[Load], rounds: int
) -> tuple[dict[Case, Figures], dict[Case, str]]:
    """Each load on each way into each gateway, in turns; and why a peer could not do a load."""
    loads = tuple(loads)
    parts = [
        (gateway, way, load.times(gateway.share))
        for gateway in those
        for way in gateway.ways
        for load in loads
    ]
    cases = {Case(gateway.name, way.name, load.name): (gateway, way, load) for gateway, way, load in parts}
    return _in_turns(callers, cases, rounds)


def cold_starts(folder: Path, upstream: Gateway, times: int) -> list[float]:
    """Seconds of some starts, one after the other."""
    taken = []
    for number in range(times):
        say(f"cold start {number + 1} of {times}")
        taken.append(gateways.cold_start(folder / f"start{number}", upstream.base_url))
    return taken


def grown_workers(
    callers: Sequence[Client],
    folder: Path,
    upstream: Gateway,
    counts: Iterable[int],
    load: Load,
    rounds: int,
) -> list[Grown]:
    """A load on as many workers as there are in each of the counts."""
    with ExitStack() as stack:
        services = {
            count: stack.enter_context(
                gateways.interference(folder / f"workers{count}", upstream.base_url, count)
            )
            for count in counts
        }
        return _grown(
            callers, WORKERS, {count: (gateway, load) for count, gateway in services.items()}, rounds
        )


def grown_chunks(callers: Sequence[Client], gateway: Gateway, requests: int, rounds: int) -> list[Grown]:
    """Streams of ever more chunks, each in a burst."""

    def load(chunks: int) -> Load:
        return Load(BURST, (Ask(stream=True, chunks=chunks),), max(4 * requests // chunks, 16))

    return _grown(callers, CHUNKS, {count: (gateway, load(count)) for count in CHUNK_COUNTS}, rounds)


def grown_bytes(callers: Sequence[Client], gateway: Gateway, requests: int, rounds: int) -> list[Grown]:
    """Unary calls with ever longer prompts, one after the other."""

    def load(size: int) -> Load:
        return Load(UNARY, (Ask(size=size),), max(requests * KILO // (size + 5 * KILO), 3), 1)

    return _grown(callers, BYTES, {size: (gateway, load(size)) for size in BODY_SIZES}, rounds)


def grown_rows(
    callers: Sequence[Client], folder: Path, upstream: Gateway, load: Load, rounds: int
) -> list[Grown]:
    """Unary calls where the catalog has ever more rows that have the model, and one is named or none."""
    with ExitStack() as stack:
        named = {
            count: stack.enter_context(
                gateways.interference(folder / f"rows{count}", upstream.base_url, rows=count)
            )
            for count in ROW_COUNTS
        }
        by_name = {count: (gateway, load) for count, gateway in named.items()}
        of_any = {count: (replace(gateway, model=MODEL), load) for count, gateway in named.items()}
        return _grown(callers, ROWS, by_name, rounds) + _grown(callers, ANY, of_any, rounds)


def memory(
    callers: Sequence[Client], folder: Path, upstream: Gateway, load: Load, calls: tuple[int, int]
) -> Memory:
    """What a worker holds after so many calls, and after so many more, over REST and gRPC in turn."""
    with gateways.interference(folder / MIXED, upstream.base_url) as gateway:
        ways = [way for way in gateway.ways if way.name in (REST, STRAIGHT)]
        mib, done = [], 0
        for goal in calls:
            while done < goal:
                say(f"memory: {done} of {calls[-1]} calls")
                for way in ways:
                    count = max(min(_SLICE, (goal - done) // len(ways)), 1)
                    done += measure(callers, gateway, way, replace(load, count=count)).calls
            mib.append(rss(gateway.processes)["workers"])
        return Memory(calls, (mib[0], mib[-1]))


def say(line: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"{line}\n")


def _grown(
    callers: Sequence[Client], by: str, those: Mapping[int, tuple[Gateway, Load]], rounds: int
) -> list[Grown]:
    cases = {
        (value, way.name): (gateway, way, load)
        for value, (gateway, load) in those.items()
        for way in gateway.ways
        if way.name in (REST, STRAIGHT)
    }
    by_case = {_case(by, value, way, part[2]): part for (value, way), part in cases.items()}
    found, _ = _in_turns(callers, by_case, rounds)
    return [
        Grown(by, value, Case(OURS, way, part[2].name), found[_case(by, value, way, part[2])])
        for (value, way), part in cases.items()
    ]


def _case(by: str, value: int, way: str, load: Load) -> Case:
    return Case(f"{OURS}, {value} {by}", way, load.name)


def _in_turns(
    callers: Sequence[Client], cases: Mapping[Case, _Part], rounds: int
) -> tuple[dict[Case, Figures], dict[Case, str]]:
    """The figures of each case, and why others have none. What is not a peer must not fail."""
    turns: dict[Case, list[Turn]] = {case: [] for case in cases}
    failed: dict[Case, str] = {}
    for turn in range(rounds):
        for case, (gateway, way, load) in cases.items():
            if case in failed:
                continue
            say(f"round {turn + 1} of {rounds}: {case.gateway}, {case.way}, {load.name}")
            try:
                turns[case].append(measure(callers, gateway, way, load))
            except CallsFailedError as error:
                if gateway.name in (DIRECT, PLAIN, OURS):
                    raise
                failed[case] = str(error)
    return {case: figures(turns[case]) for case in cases if case not in failed}, failed
