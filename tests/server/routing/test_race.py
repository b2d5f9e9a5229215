"""Of two runs the first that gives something wins, and nothing is left running."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from server.routing import race


@dataclass
class Runs:
    """Runs that give what a test says, and what became of them."""

    plays: list[Callable[[], Awaitable[str | None]]]
    started: int = 0
    cancelled: int = 0
    dropped: list[str] = field(default_factory=list)

    async def run(self) -> str | None:
        play = self.plays[self.started]
        self.started += 1
        try:
            return await play()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def drop(self, found: str) -> None:
        self.dropped.append(found)

    async def first(self, delay: float = 0.001, *, may: bool = True) -> str | None:
        return await race.first(self.run, delay, lambda: may, self.drop)


async def never() -> str | None:
    await asyncio.Event().wait()
    return None


def gives(what: str | None) -> Callable[[], Awaitable[str | None]]:
    async def give() -> str | None:
        return what

    return give


async def fails() -> str | None:
    raise ValueError("wrong")


async def test_a_fast_first_run_is_alone() -> None:
    runs = Runs([gives("a"), gives("b")])
    assert await runs.first(delay=60) == "a"
    assert runs.started == 1


async def test_the_second_wins_where_the_first_says_nothing_and_the_first_is_cancelled() -> None:
    runs = Runs([never, gives("b")])
    assert await runs.first() == "b"
    assert (runs.cancelled, runs.dropped) == (1, [])


async def test_without_leave_there_is_no_second() -> None:
    runs = Runs([never, gives("b")])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(runs.first(may=False), 0.05)
    assert (runs.started, runs.cancelled) == (1, 1)


async def test_the_first_goes_on_where_the_second_finds_nothing() -> None:
    slow = asyncio.Event()

    async def later() -> str | None:
        await slow.wait()
        return "a"

    async def nothing() -> str | None:
        slow.set()
        return None

    assert await Runs([later, nothing]).first() == "a"


async def test_nothing_is_found_where_neither_finds_anything() -> None:
    release = asyncio.Event()

    async def late() -> str | None:
        await release.wait()
        return None

    async def releases() -> str | None:
        release.set()
        return None

    assert await Runs([late, releases]).first() is None


async def test_an_error_of_the_second_does_not_end_the_first() -> None:
    failed = asyncio.Event()

    async def fails_first() -> str | None:
        failed.set()
        return await fails()

    async def then_gives() -> str | None:
        await failed.wait()
        return "a"

    assert await Runs([then_gives, fails_first]).first() == "a"


async def test_an_error_of_one_is_the_error_where_the_other_finds_nothing() -> None:
    failed = asyncio.Event()

    async def fails_first() -> str | None:
        failed.set()
        return await fails()

    async def nothing() -> str | None:
        await failed.wait()
        return None

    with pytest.raises(ValueError, match="wrong"):
        await Runs([nothing, fails_first]).first()


async def test_what_both_found_at_once_is_kept_once() -> None:
    both = asyncio.Event()

    async def with_the_other() -> str | None:
        await both.wait()
        return "one"

    async def releases() -> str | None:
        both.set()
        await asyncio.sleep(0)
        return "other"

    runs = Runs([with_the_other, releases])
    found = await runs.first()
    assert found in ("one", "other")
    assert runs.cancelled + len(runs.dropped) == 1


async def test_a_caller_who_leaves_leaves_nothing_running() -> None:
    both = asyncio.Event()

    async def second() -> str | None:
        both.set()
        return await never()

    runs = Runs([never, second])
    race_ = asyncio.create_task(runs.first())
    await both.wait()
    race_.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race_
    assert runs.cancelled == 2
