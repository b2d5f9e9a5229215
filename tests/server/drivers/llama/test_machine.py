"""Models that compute in threads: who gets which when, and what becomes of work that nobody waits for."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from server.drivers.llama.folder import ModelFile
from server.drivers.llama.gguf import Head
from server.drivers.llama.machine import Halt, Machine
from server.errors import AttemptFailed

QUEUE = 100


class Counter:
    """An engine that counts, and waits where it is told to."""

    def __init__(self, file: ModelFile, made: list[str]) -> None:
        if file.name == "broken":
            raise AttemptFailed("server_error", "cannot be loaded")
        self.name = file.name
        self._made = made
        made.append(f"+{file.name}")

    def close(self) -> None:
        self._made.append(f"-{self.name}")


def file(name: str, stamp: int = 0) -> ModelFile:
    return ModelFile(name, Path(name), (stamp, stamp), Head({}))


def endless(
    gate: threading.Event, ended: threading.Event
) -> Callable[[Counter, Halt], Generator[str, None, None]]:
    """Work that gives the name once, then waits at the gate and goes on until it is told to halt."""

    def work(engine: Counter, halt: Halt) -> Generator[str, None, None]:
        try:
            yield engine.name
            gate.wait(10)
            while not halt.told:
                yield engine.name
        finally:
            ended.set()

    return work


def name(engine: Counter, _: Halt) -> Generator[str, None, None]:
    yield engine.name


@asynccontextmanager
async def machine(loaded: int = 1) -> AsyncIterator[tuple[Machine[Counter], list[str]]]:
    made: list[str] = []
    running: Machine[Counter] = Machine(loaded, lambda one: Counter(one, made))
    yield running, made
    await running.close()


async def whole(stream: AsyncGenerator[Sequence[str], None]) -> list[str]:
    async with aclosing(stream):
        return [piece async for pieces in stream for piece in pieces]


async def test_pieces_come_in_their_order_and_all_of_them() -> None:
    def count(_: Counter, __: Halt) -> Generator[str, None, None]:
        yield from map(str, range(10_000))

    async with machine() as (running, _):
        assert await whole(running.stream("a", file("m"), QUEUE, count)) == list(map(str, range(10_000)))


async def test_a_model_is_loaded_once_and_makes_room_for_another() -> None:
    async with machine() as (running, made):
        for one in ("m", "m", "n", "m"):
            assert await whole(running.stream("a", file(one), QUEUE, name)) == [one]
        assert made == ["+m", "-m", "+n", "-n", "+m"][: len(made)]
        assert len(made) == 5
    assert made[-1] == "-m"


async def test_the_one_that_was_not_used_for_the_longest_time_makes_room() -> None:
    async with machine(2) as (running, made):
        for one in ("a", "b", "a", "c"):
            await whole(running.stream("x", file(one), QUEUE, name))
        assert made == ["+a", "+b", "-b", "+c"]


async def test_a_file_that_changed_is_loaded_anew() -> None:
    async with machine(2) as (running, made):
        await whole(running.stream("x", file("a"), QUEUE, name))
        await whole(running.stream("x", file("a", 1), QUEUE, name))
        assert made == ["+a", "+a"]


async def test_requests_for_one_model_at_once_load_it_once() -> None:
    async with machine(2) as (running, made):
        answers = (whole(running.stream("x", file("m"), QUEUE, name)) for _ in range(20))
        assert await asyncio.gather(*answers) == [["m"]] * 20
        assert made == ["+m"]


async def test_a_model_that_cannot_be_loaded_fails_for_all_and_blocks_none() -> None:
    async with machine() as (running, _):
        broken = (whole(running.stream("x", file("broken"), QUEUE, name)) for _ in range(3))
        failures = await asyncio.gather(*broken, return_exceptions=True)
        assert [type(failure) for failure in failures] == [AttemptFailed] * 3
        assert await whole(running.stream("x", file("m"), QUEUE, name)) == ["m"]


async def test_callers_take_turns() -> None:
    order: list[str] = []

    def noted(caller: str) -> Callable[[Counter, Halt], Generator[str, None, None]]:
        def work(_: Counter, __: Halt) -> Generator[str, None, None]:
            order.append(caller)
            yield caller

        return work

    gate, ended = threading.Event(), threading.Event()
    async with machine() as (running, _):
        holding = running.stream("holder", file("m"), QUEUE, endless(gate, ended))
        await anext(holding)
        waiting = [
            asyncio.create_task(whole(running.stream(caller, file("m"), QUEUE, noted(caller))))
            for caller in "aaabbc"
        ]
        await asyncio.sleep(0)  # each has taken its place
        gate.set()
        await holding.aclose()
        await asyncio.gather(*waiting)
    assert order == list("abcaba")


@pytest.mark.parametrize("cancel", [False, True], ids=["closed", "cancelled"])
async def test_work_stops_when_nobody_waits_for_it(cancel: bool) -> None:
    gate, ended = threading.Event(), threading.Event()
    gate.set()
    async with machine() as (running, _):
        stream = running.stream("a", file("m"), QUEUE, endless(gate, ended))
        await anext(stream)
        if cancel:
            task = asyncio.create_task(whole(stream))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        else:
            await stream.aclose()
        assert await asyncio.to_thread(ended.wait, 10)
        assert await whole(running.stream("b", file("m"), QUEUE, name)) == ["m"]


async def test_who_leaves_the_queue_is_not_served() -> None:
    gate, ended = threading.Event(), threading.Event()
    async with machine() as (running, made):
        holding = running.stream("a", file("m"), QUEUE, endless(gate, ended))
        await anext(holding)
        leaving = asyncio.create_task(whole(running.stream("b", file("n"), QUEUE, name)))
        staying = asyncio.create_task(whole(running.stream("c", file("m"), QUEUE, name)))
        await asyncio.sleep(0)
        leaving.cancel()
        gate.set()
        await holding.aclose()
        assert await staying == ["m"]
        assert made == ["+m"]


async def test_who_leaves_as_the_turn_comes_gives_it_on() -> None:
    gate, ended = threading.Event(), threading.Event()
    gate.set()
    async with machine() as (running, _):
        holding = running.stream("a", file("m"), QUEUE, endless(gate, ended))
        await anext(holding)
        leaving = asyncio.create_task(whole(running.stream("b", file("m"), QUEUE, name)))
        await asyncio.sleep(0)
        await holding.aclose()
        await asyncio.to_thread(ended.wait, 10)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert await whole(running.stream("c", file("m"), QUEUE, name)) == ["m"]


async def test_too_many_may_not_wait() -> None:
    gate, ended = threading.Event(), threading.Event()
    async with machine() as (running, _):
        holding = running.stream("a", file("m"), 1, endless(gate, ended))
        await anext(holding)
        waiting = asyncio.create_task(whole(running.stream("a", file("m"), 1, name)))
        await asyncio.sleep(0)
        with pytest.raises(AttemptFailed, match="1 requests waiting already") as failed:
            await whole(running.stream("a", file("m"), 1, name))
        assert failed.value.cause == "overloaded"
        gate.set()
        await holding.aclose()
        assert await waiting == ["m"]


async def test_what_the_work_raises_comes_after_its_pieces() -> None:
    def fails(_: Counter, __: Halt) -> Generator[str, None, None]:
        yield "a"
        raise AttemptFailed("server_error", "fell")

    async with machine() as (running, _):
        stream = running.stream("a", file("m"), QUEUE, fails)
        assert await anext(stream) == ["a"]
        with pytest.raises(AttemptFailed, match="fell"):
            await anext(stream)


async def test_the_loop_goes_on_while_a_model_waits() -> None:
    gate, ended = threading.Event(), threading.Event()
    async with machine() as (running, _):
        holding = running.stream("a", file("m"), QUEUE, endless(gate, ended))
        await anext(holding)
        waiting = asyncio.create_task(anext(holding))
        for _ in range(100):  # it computes, or waits at the gate, in another thread
            await asyncio.sleep(0)
        assert not waiting.done()
        gate.set()
        assert (await waiting)[0] == "m"
        await holding.aclose()


async def test_the_end_stops_what_is_running() -> None:
    gate, ended = threading.Event(), threading.Event()
    gate.set()
    async with machine() as (running, made):
        await anext(running.stream("a", file("m"), QUEUE, endless(gate, ended)))
    assert ended.is_set()
    assert made == ["+m", "-m"]
