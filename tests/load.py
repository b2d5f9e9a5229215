"""A bounded load on a running service, from all sides at once, and what became of each call."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc
import grpc.aio
import psutil

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from tests.calls import TIMEOUT, body
from tests.service import Service
from tests.upstream import TEXT

OK = "ok"
WORKER, ENVOY = "server.worker", "--restart-epoch"  # what the commands of processes have in them
# Each caller has a connection of its own; without that, all channels of a process to an address share one.
_OWN = (("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100))
_PACE = 0.04  # seconds between two calls of a caller: the load is to be steady, not the most there can be
Call = Callable[[], Awaitable[str]]


@dataclass
class Load:
    """Callers that call one after the other until they are stopped."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # (way, how the call ended)
    stopping: bool = False
    ended: asyncio.Condition = field(default_factory=asyncio.Condition)  # some call has

    @property
    def failures(self) -> dict[tuple[str, str], int]:
        """The calls that did not end well."""
        return {key: count for key, count in self.outcomes.items() if key[1] != OK}

    def count(self, way: str, outcome: str = OK) -> int:
        """How many calls of a way ended so."""
        return self.outcomes[way, outcome]

    async def passes(self, calls: int = 1) -> None:
        """Waits until on each way so many more calls have ended well."""
        ways = {way for way, _ in self.outcomes}
        wanted = {way: self.count(way) + calls for way in ways}
        await self.until(lambda: all(self.count(way) >= least for way, least in wanted.items()))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until something holds of the outcomes."""
        async with asyncio.timeout(TIMEOUT), self.ended:
            await self.ended.wait_for(holds)


@asynccontextmanager
async def calling(service: Service, callers: int = 2, *, mesh: bool = True) -> AsyncIterator[Load]:
    """So many callers of each way: REST and gRPC through Envoy, gRPC to a worker; unary and streams."""
    load = Load()
    tasks = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT)) as session:
        channels = []
        for _ in range(callers):
            ways = {"rest": _rest(session, service), "rest-stream": _rest_stream(session, service)}
            addresses = {"grpc": service.envoy} | ({"mesh": service.worker} if mesh else {})
            for name, address in addresses.items():
                channels.append(channel := grpc.aio.insecure_channel(address, options=_OWN))
                ways |= {name: _grpc(channel), f"{name}-stream": _grpc_stream(channel)}
            tasks += [asyncio.create_task(_caller(load, way, call)) for way, call in ways.items()]
        try:
            await load.until(lambda: {way for way, _ in load.outcomes} == set(ways))
            yield load
        finally:
            load.stopping = True
            await asyncio.gather(*tasks)
            for channel in channels:
                await channel.close()


async def _caller(load: Load, way: str, call: Call) -> None:
    while not load.stopping:
        outcome = await call()
        async with load.ended:
            load.outcomes[way, outcome] += 1
            load.ended.notify_all()
        await asyncio.sleep(_PACE)


def _rest(session: aiohttp.ClientSession, service: Service) -> Call:
    async def call() -> str:
        try:
            async with session.post(f"{service.base_url}/chat/completions", json=body("ok")) as answer:
                return _read(answer.status, await answer.json())
        except aiohttp.ClientError as error:
            return type(error).__name__

    return call


def _read(status: int, whole: Any) -> str:
    if status != 200:
        return f"{status} {whole['error']['code']}"
    return OK if whole["choices"][0]["message"]["content"] == TEXT else "another text"


def _rest_stream(session: aiohttp.ClientSession, service: Service) -> Call:
    async def call() -> str:
        url, asked = f"{service.base_url}/chat/completions", body("slow", stream=True)
        text = b""
        try:
            async with session.post(url, json=asked) as answer:
                if answer.status != 200:
                    return _read(answer.status, await answer.json())
                async for piece in answer.content.iter_any():
                    text += piece
        except aiohttp.ClientError as error:
            return f"{type(error).__name__}{' after content' if text else ''}"
        return _read_stream(text)

    return call


def _read_stream(text: bytes) -> str:
    events = [event.removeprefix("data: ") for event in text.decode().split("\n\n")]
    if events[-2:] != ["[DONE]", ""]:
        return "ended without a word"
    chunks = [json.loads(event) for event in events[:-2]]
    if "error" in chunks[-1]:
        return f"in-band {chunks[-1]['error']['code']}"
    content = "".join(c["delta"].get("content", "") for chunk in chunks for c in chunk["choices"])
    return OK if content == TEXT else "another text"


def _grpc(channel: grpc.aio.Channel) -> Call:
    async def call() -> str:
        try:
            whole = await ChatStub(channel).CreateCompletion(chat("ok"), timeout=TIMEOUT)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return OK if whole.choices[0].message.content == TEXT else "another text"

    return call


def _grpc_stream(channel: grpc.aio.Channel) -> Call:
    async def call() -> str:
        text = ""
        try:
            async for chunk in ChatStub(channel).StreamCompletion(chat("slow"), timeout=TIMEOUT):
                text += "".join(choice.delta.content for choice in chunk.choices)
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}{' after content' if text else ''}"
        return OK if text == TEXT else "another text"

    return call


def chat(provider: str) -> CreateCompletionRequest:
    """A chat request."""
    messages: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
    return CreateCompletionRequest(model="m", providers=[provider], messages=messages)


def processes(service: Service, sign: str) -> set[int]:
    """The processes of the service that have a word in their command."""
    found = set()
    for process in psutil.Process(service.program.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if sign in " ".join(process.cmdline()):
                found.add(process.pid)
    return found
