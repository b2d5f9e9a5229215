"""`make bench`: what the gateway costs beside a plain Envoy, and beside asking the upstream directly.

All runs in turns: compare the ratios, not the figures of two runs. CPU time is that of all processes of a
gateway, the callers have processes of their own. The service runs as it comes, with one worker unless said.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.arguments import between
from tests.bench import gateways, picture, report, run
from tests.bench.gateways import Gateway
from tests.bench.loads import BURST, CHUNKS, IMAGE, KINDS, MIXED, UNARY, standard
from tests.bench.measuring import Client, Watch, clients, rss
from tests.bench.targets import Findings


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    loads: tuple[str, ...]
    requests: int  # unary calls of a way in a round; of other loads as many as take about as long
    rounds: int
    connections: int = 16
    streams: int = 50  # that are paced at a time
    chunks: int = CHUNKS
    image: int = IMAGE
    starts: int = 3
    workers: tuple[int, ...] = (1, 2, 4)
    grow: bool = False
    memory: tuple[int, int] | None = None
    peers: bool = False


def quick(plan: Plan) -> Plan:
    """The same in seconds, to see that everything works; its figures say nothing."""
    return Plan(
        plan.loads,
        requests=8,
        rounds=1,
        connections=2,
        streams=2,
        chunks=8,
        image=65_536,
        starts=1,
        workers=plan.workers[:2],
        grow=plan.grow,
        memory=(20, 40) if plan.memory else None,
        peers=plan.peers,
    )


def bench(plan: Plan, folder: Path) -> Findings:
    """Measures all that the plan says."""
    watch = Watch()
    every = standard(plan.requests, plan.connections, plan.streams, plan.chunks, plan.image)
    loads = [every[name] for name in plan.loads]
    with ExitStack() as stack:
        upstream = stack.enter_context(gateways.upstream(folder))
        starts = run.cold_starts(folder, upstream, plan.starts)
        callers = stack.enter_context(clients())
        with _gateways(plan, folder, upstream) as (those, missing):
            figures, failed = run.compare(callers, those, loads, plan.rounds)
            missing |= {f"{case.gateway}, {case.load}": why for case, why in failed.items()}
            memory_of = {one.name: rss(one.processes) for one in those if one.processes}
            ours = next(one for one in those if one.name == gateways.OURS)
            grown = _of_one(plan, callers, ours) if plan.grow else []
        pair = stack.enter_context(clients(2))
        for name in (UNARY, BURST) if plan.grow else {UNARY} & set(plan.loads):
            load = every[name].times(2)
            grown += run.grown_workers(pair, folder, upstream, plan.workers, load, plan.rounds)
        if plan.grow:
            grown += run.grown_rows(callers, folder, upstream, every[UNARY], plan.rounds)
        memory = run.memory(callers, folder, upstream, every[MIXED], plan.memory) if plan.memory else None
    machine = _machine(plan) | {"cores taken by others": watch.others()}
    return Findings(machine, figures, memory_of, starts, grown, memory, missing)


@contextmanager
def _gateways(
    plan: Plan, folder: Path, upstream: Gateway
) -> Iterator[tuple[list[Gateway], dict[str, str]]]:
    """Those that are compared, and why others are not there."""
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        ours = stack.enter_context(gateways.interference(folder / "ours", upstream.base_url))
        threads = gateways.concurrency(ours)
        those = [
            upstream,
            stack.enter_context(gateways.plain_envoy(folder, upstream.base_url, threads)),
            ours,
        ]
        if plan.peers:
            # Only here, as nothing else needs them.
            from tests.bench.peers import PEERS

            for name, peer in PEERS.items():
                if not peer.installed():
                    missing[name] = "not installed (make bench-peers)"
                    continue
                run.say(f"starting {name}")
                (place := folder / name).mkdir()
                try:
                    those.append(stack.enter_context(peer.serving(upstream.base_url, place)))
                except (AssertionError, RuntimeError, OSError) as error:
                    missing[name] = f"did not start: {error}"
        yield those, missing


def _of_one(plan: Plan, callers: list[Client], ours: Gateway) -> list[run.Grown]:
    chunks = run.grown_chunks(callers, ours, plan.requests, plan.rounds)
    return chunks + run.grown_bytes(callers, ours, plan.requests, plan.rounds)


def _machine(plan: Plan) -> dict[str, str | float]:
    return {
        "rounds": plan.rounds,
        "calls a round": plan.requests,
        "cores": os.cpu_count() or 1,
        "system": platform.system(),
        "architecture": platform.machine(),
        "Python": platform.python_version(),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    count = between(1, 1_000_000)
    parser.add_argument("--loads", nargs="+", choices=KINDS, default=KINDS, help="those only")
    parser.add_argument("--requests", type=count, default=2000, help="unary calls a way and round (2000)")
    parser.add_argument("--rounds", type=between(1, 100), default=3, help="rounds (3)")
    parser.add_argument("--quick", action="store_true", help="in seconds, to see that everything works")
    parser.add_argument(
        "--grow", action="store_true", help="also with more chunks, bytes, rows (some minutes)"
    )
    parser.add_argument(
        "--memory",
        nargs="*",
        type=between(2, 100_000_000),
        metavar="CALLS",
        help="also a worker's memory after so many mixed calls, and after more (20000 200000)",
    )
    parser.add_argument(
        "--peers", action="store_true", help="also the gateways that make bench-peers installs"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the figures there, as SVG")
    given = parser.parse_args()
    if given.memory is not None:
        given.memory = tuple(given.memory or (20_000, 200_000))
        if len(given.memory) != 2 or given.memory[0] >= given.memory[1]:
            parser.error("--memory: give two numbers of calls, the smaller first, or none")
    return given


def main() -> None:
    """Runs the benchmark."""
    given = _arguments()
    plan = Plan(
        tuple(given.loads),
        given.requests,
        given.rounds,
        grow=given.grow,
        memory=given.memory,
        peers=given.peers,
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = report.data(bench(quick(plan) if given.quick else plan, Path(folder)))
    sys.stdout.write(report.text(found))
    if given.json:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    if given.picture:
        given.picture.write_text(picture.draw(found["loads"]), encoding="utf-8")


if __name__ == "__main__":
    main()
