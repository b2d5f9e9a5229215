"""`make bench`: what the gateway costs, beside the same calls made straight to the upstream.

All targets are measured in turns within one run, because machines are shared and noisy: compare the ratios,
not the figures of two runs. CPU is user and system time of the gateway's processes for each request.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import msgspec
import psutil
import uvloop

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.message_pb2 import ChatMessage, ContentPart
from tests.service import Service, row, serving

PROMPT = "Write a short story about a robot that learns to paint the sea at dusk."
CONNECTIONS = 16
Call = Callable[[], Awaitable[None]]


@dataclass
class Load:
    """One way to ask, and what was measured of it. Times in seconds."""

    name: str
    kind: str
    call: Call
    latencies: list[float] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)
    requests: int = 0
    elapsed: float = 0.0


async def _measure(load: Load, gateway: dict[str, list[psutil.Process]], count: int) -> None:
    for _ in range(max(count // 10, 5)):
        began = time.perf_counter()
        await load.call()
        load.latencies.append(time.perf_counter() - began)
    before = {name: _cpu(processes) for name, processes in gateway.items()}
    began = time.perf_counter()
    tickets = iter(range(count))

    async def ask() -> None:
        for _ in tickets:
            await load.call()

    await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    load.elapsed += time.perf_counter() - began
    load.requests += count
    for name, processes in gateway.items():
        load.cpu[name] = load.cpu.get(name, 0.0) + _cpu(processes) - before[name]


def _cpu(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(spent.user + spent.system for spent in times)


def _processes(service: Service) -> dict[str, list[psutil.Process]]:
    found = [psutil.Process(pid) for pid in service.program.descendants()]
    return {
        "Envoy": [process for process in found if "--config-path" in process.cmdline()],
        "workers": [process for process in found if "server.worker" in process.cmdline()],
    }


def _rest(session: aiohttp.ClientSession, base_url: str, model: str, *, stream: bool) -> Call:
    request = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "stream": stream}
    body = msgspec.json.encode(request)
    headers = {"content-type": "application/json"}

    async def call() -> None:
        async with session.post(f"{base_url}/chat/completions", data=body, headers=headers) as answer:
            text = await answer.read()
            assert answer.status == 200, text
            assert not stream or text.endswith(b"data: [DONE]\n\n")

    return call


def _grpc(channel: grpc.aio.Channel, *, stream: bool) -> Call:
    stub = ChatStub(channel)
    message = ChatMessage(role="user", content=[ContentPart(text=PROMPT)])
    request = CreateCompletionRequest(model="m", providers=["Up"], messages=[message])

    async def unary() -> None:
        await stub.CreateCompletion(request)

    async def streamed() -> None:
        last = None
        async for chunk in stub.StreamCompletion(request):
            last = chunk
        assert last is not None
        assert last.choices[0].finish_reason

    return streamed if stream else unary


async def _run(service: Service, upstream: str, count: int, rounds: int) -> list[Load]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )
        envoy = await stack.enter_async_context(grpc.aio.insecure_channel(service.envoy))
        worker = await stack.enter_async_context(grpc.aio.insecure_channel(service.worker))
        loads = []
        for stream in (False, True):
            kind = "stream of 64" if stream else "unary"
            loads += [
                Load("straight to the upstream", kind, _rest(session, upstream, "m", stream=stream)),
                Load("REST through Envoy", kind, _rest(session, service.base_url, "Up/m", stream=stream)),
                Load("gRPC through Envoy", kind, _grpc(envoy, stream=stream)),
                Load("gRPC to a worker", kind, _grpc(worker, stream=stream)),
            ]
        gateway = _processes(service)
        for turn in range(rounds):
            for load in loads:
                sys.stderr.write(f"round {turn + 1} of {rounds}: {load.kind}, {load.name}\n")
                await _measure(load, gateway, count // 4 if load.kind != "unary" else count)
        return loads


def _report(loads: list[Load]) -> list[dict[str, Any]]:
    baseline = {load.kind: load for load in loads if load.name.startswith("straight")}
    rows = []
    for load in loads:
        direct = statistics.median(baseline[load.kind].latencies)
        median = statistics.median(load.latencies)
        p99 = statistics.quantiles(load.latencies, n=100)[98]
        per = {name: 1e3 * spent / load.requests for name, spent in load.cpu.items()}
        own = load.name.startswith("straight")
        rows.append(
            {
                "kind": load.kind,
                "way": load.name,
                "p50_ms": round(1e3 * median, 3),
                "p99_ms": round(1e3 * p99, 3),
                "p50_ratio": round(median / direct, 2),
                "requests_per_s": round(load.requests / load.elapsed),
                "envoy_cpu_ms": 0.0 if own else round(per["Envoy"], 3),
                "workers_cpu_ms": 0.0 if own else round(per["workers"], 3),
            }
        )
    return rows


def _print(rows: list[dict[str, Any]]) -> None:
    titles = ("p50 ms", "p99 ms", "p50 ratio", "req/s", "Envoy CPU ms", "worker CPU ms")
    sys.stdout.write(f"{'':<40}" + "".join(f"{title:>14}" for title in titles) + "\n")
    for line in rows:
        kind, way, *figures = line.values()
        sys.stdout.write(f"{f'{kind}, {way}':<40}" + "".join(f"{value:>14}" for value in figures) + "\n")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=800, help="unary calls a way and round (800)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (3)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "tests.bench.upstream"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as upstream,
    ):
        try:
            assert upstream.stdout is not None
            url = f"http://127.0.0.1:{int(upstream.stdout.readline())}/v1"
            with serving(Path(folder), [row("Up", url)], workers=1) as service:
                loads = uvloop.run(_run(service, url, arguments.requests, arguments.rounds))
        finally:
            upstream.terminate()
    rows = _report(loads)
    _print(rows)
    if arguments.json:
        Path(arguments.json).write_bytes(msgspec.json.format(msgspec.json.encode(rows)))


if __name__ == "__main__":
    main()
