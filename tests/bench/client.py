"""The callers, in a process of their own so that their time is not the gateway's.

`python -m tests.bench.client` reads orders from stdin, a line of JSON each. It opens the connections, tries
every call on each of them and checks the answers, says `ready`, and calls when a line says so; then it
tells what it saw, or why a call failed.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import grpc.aio
import msgspec
import uvloop

from interference.v1.chat_pb2_grpc import ChatStub
from tests.bench.gateways import Way
from tests.bench.http1 import Answer, Connection
from tests.bench.loads import Ask, Load, chat_json, chat_message, http_request
from tests.bench.upstream import FIRST, WORD, text_of

READY, GO = "ready\n", "go\n"
_PATIENCE = 60.0  # seconds for the calls that are checked
_LONGEST = 900.0  # seconds for a load
# Each caller has a connection of its own; without that, all channels of a process to an address share one.
_CHANNEL = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)


@dataclass(frozen=True)
class Order:
    """What to do: a load, over a way into a gateway."""

    load: Load
    way: Way
    path: str  # of REST
    model: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What became of the calls of an order. Times in seconds. A fault is why one failed; then there is
    nothing else.
    """

    latencies: Sequence[float] = ()
    firsts: Sequence[float] = ()  # until the first content; of calls that did not stream, none
    events: int = 0  # that came in the streams
    elapsed: float = 0.0
    cpu: float = 0.0  # of this process, which must not be what limits the gateway
    fault: str = ""


@dataclass(frozen=True)
class Call:
    """When the first content of a call came, by `time.perf_counter`, and how many events all in all."""

    first: float
    events: int


class Caller(Protocol):
    """A connection over which calls are made, each known by its place in the load."""

    async def check(self, place: int) -> None:
        """Makes a call and compares the answer's text with what the upstream says."""
        ...

    async def call(self, place: int) -> Call:
        """Makes a call. Raises where it fails, or where its end is not there."""
        ...

    async def close(self) -> None:
        """Closes the connection."""
        ...


class Rest:
    """A caller over HTTP/1.1."""

    def __init__(self, order: Order, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._connection = Connection(host, int(port))
        self._asks = order.load.asks
        self._requests = [
            http_request(
                chat_json(ask, order.model), address, f"{order.path}/chat/completions", order.headers
            )
            for ask in self._asks
        ]

    async def check(self, place: int) -> None:
        """See `Caller`."""
        ask = self._asks[place]
        answer = await self._answer(place)
        text = _streamed(answer.body) if ask.stream else _message(answer.body)
        _compare(ask, text)

    async def call(self, place: int) -> Call:
        """See `Caller`."""
        answer = await self._answer(place)
        return Call(answer.first, answer.events)

    async def close(self) -> None:
        """See `Caller`."""
        self._connection.close()

    async def _answer(self, place: int) -> Answer:
        marker = WORD if self._asks[place].stream else FIRST
        answer = await self._connection.call(self._requests[place], marker.strip().encode())
        if answer.status != 200 or not answer.first:
            raise RuntimeError(f"answered with {answer.status}: {answer.body[:500]!r}")
        return answer


class Grpc:
    """A caller over gRPC."""

    def __init__(self, order: Order, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_CHANNEL)
        self._stub = ChatStub(self._channel)
        self._asks = order.load.asks
        self._requests = [chat_message(ask, order.model) for ask in self._asks]

    async def check(self, place: int) -> None:
        """See `Caller`."""
        ask, request = self._asks[place], self._requests[place]
        if ask.stream:
            text = "".join(
                [
                    choice.delta.content
                    async for chunk in self._stub.StreamCompletion(request)
                    for choice in chunk.choices
                ]
            )
        else:
            text = (await self._stub.CreateCompletion(request)).choices[0].message.content
        _compare(ask, text)

    async def call(self, place: int) -> Call:
        """See `Caller`."""
        request = self._requests[place]
        if not self._asks[place].stream:
            await self._stub.CreateCompletion(request)
            return Call(time.perf_counter(), 0)
        first, events, finish = 0.0, 0, False
        async for chunk in self._stub.StreamCompletion(request):
            events += 1
            for choice in chunk.choices:
                if not first and choice.delta.content:
                    first = time.perf_counter()
                finish = finish or bool(choice.finish_reason)
        if not (first and finish):
            raise RuntimeError("a stream ended without content or without a finish reason")
        return Call(first, events)

    async def close(self) -> None:
        """See `Caller`."""
        await self._channel.close()


def _message(body: bytes) -> str:
    text: str = json.loads(body)["choices"][0]["message"]["content"]
    return text


def _streamed(body: bytes) -> str:
    """What the deltas of a stream of events say together."""
    lines = [
        line.removeprefix("data: ") for line in body.decode().splitlines() if line.startswith("data: ")
    ]
    if not lines or lines[-1] != "[DONE]":
        raise RuntimeError(f"a stream ended without a word: {body[-500:]!r}")
    chunks = [json.loads(line) for line in lines[:-1]]
    return "".join(
        choice.get("delta", {}).get("content") or ""
        for chunk in chunks
        for choice in chunk.get("choices", ())
    )


def _compare(ask: Ask, text: str) -> None:
    """Some gateways trim the spaces around a text; that is not held against them here."""
    right = text.strip() == text_of(ask.chunks).strip() if ask.stream else text.startswith(FIRST.strip())
    if not right:
        raise RuntimeError(f"the answer says {text[:200]!r}")


# --- An order -------------------------------------------------------------------------------------


def _callers(order: Order) -> list[Caller]:
    kind = Rest if order.way.protocol == "rest" else Grpc
    addresses = order.way.addresses
    return [kind(order, addresses[i % len(addresses)]) for i in range(order.load.connections)]


async def _prepare(order: Order, callers: Sequence[Caller]) -> None:
    """Opens all connections and checks what comes over them."""

    async def check(caller: Caller) -> None:
        for place in range(len(order.load.asks)):
            async with asyncio.timeout(_PATIENCE):
                await caller.check(place)

    await asyncio.gather(*map(check, callers))


async def _run(load: Load, callers: Sequence[Caller]) -> Seen:
    latencies: list[float] = []
    firsts: list[float] = []
    events = 0
    places = len(load.asks)
    tickets: Iterator[int] = iter(range(load.count))

    async def calling(caller: Caller, wait: float) -> None:
        nonlocal events
        await asyncio.sleep(wait)
        for number in tickets:
            began = time.perf_counter()
            call = await caller.call(number % places)
            latencies.append(time.perf_counter() - began)
            if load.asks[number % places].stream:
                firsts.append(call.first - began)
                events += call.events

    began, spent = time.perf_counter(), time.process_time()
    steps = [load.spread * place / len(callers) for place in range(len(callers))]
    await asyncio.gather(*map(calling, callers, steps))
    return Seen(latencies, firsts, events, time.perf_counter() - began, time.process_time() - spent)


async def _follow(line: bytes) -> Seen:
    loop = asyncio.get_running_loop()
    order = msgspec.json.decode(line, type=Order)
    callers = _callers(order)
    try:
        await _prepare(order, callers)
        gc.collect()
        _say(READY)
        await loop.run_in_executor(None, sys.stdin.readline)
        async with asyncio.timeout(_LONGEST):
            return await _run(order.load, callers)
    except (RuntimeError, OSError, ValueError, LookupError, grpc.aio.AioRpcError) as error:
        return Seen(fault=f"{type(error).__name__}: {error}"[:1000])
    finally:
        for caller in callers:
            await caller.close()


def _say(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def main() -> None:
    """Follows orders until stdin ends."""
    for line in sys.stdin:
        seen = uvloop.run(_follow(line.encode()))
        _say(f"{msgspec.json.encode(seen).decode()}\n")


if __name__ == "__main__":
    main()
