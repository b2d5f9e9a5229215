"""A bound lets so many in, others wait their turn for a short time, and no place is ever lost."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.routing.bounds import Bound, Full


async def test_the_queue_is_served_in_order() -> None:
    bound, served = Bound(1, 10, 5), []

    async def one(name: int) -> None:
        await bound.enter(None)
        served.append(name)
        bound.leave()

    await bound.enter(None)
    waiting = [asyncio.create_task(one(name)) for name in range(5)]
    await asyncio.sleep(0)
    assert not served
    bound.leave()
    await asyncio.gather(*waiting)
    assert served == [0, 1, 2, 3, 4]
    assert bound.running == 0


async def test_who_finds_the_queue_full_is_turned_away_at_once() -> None:
    bound = Bound(1, 0, 60)
    await bound.enter(None)
    with pytest.raises(Full):
        await bound.enter(None)


async def test_who_has_waited_too_long_is_turned_away() -> None:
    bound = Bound(1, 1, 0.01)
    await bound.enter(None)
    with pytest.raises(Full):
        await bound.enter(None)
    bound.leave()
    assert bound.running == 0


async def test_a_deadline_that_comes_first_ends_the_wait() -> None:
    bound = Bound(1, 1, 60)
    await bound.enter(None)
    with pytest.raises(TimeoutError):
        await bound.enter(asyncio.get_running_loop().time() + 0.01)


async def test_no_limit_lets_all_in() -> None:
    bound = Bound(0, 0, 1)
    for _ in range(1000):
        await bound.enter(None)
    assert bound.running == 1000


@settings(deadline=None, max_examples=60)
@given(
    limit=st.integers(1, 3),
    steps=st.lists(
        st.tuples(st.sampled_from(("enter", "leave", "cancel", "spin")), st.integers(0, 9)), max_size=40
    ),
)
def test_no_place_is_lost_whoever_leaves_or_is_cancelled(limit: int, steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        bound = Bound(limit, 100, 60)
        inside: list[asyncio.Task[None]] = []
        release: dict[asyncio.Task[None], asyncio.Event] = {}
        most = running = 0

        async def visit(go: asyncio.Event) -> None:
            nonlocal most, running
            await bound.enter(None)
            running += 1
            most = max(most, running)
            try:
                await go.wait()
            finally:
                running -= 1
                bound.leave()

        for what, which in steps:
            if what == "enter":
                go = asyncio.Event()
                task = asyncio.create_task(visit(go))
                release[task] = go
                inside.append(task)
            elif what == "spin":
                await asyncio.sleep(0)
            elif inside:
                task = inside[which % len(inside)]
                release[task].set() if what == "leave" else task.cancel()
        for task in inside:
            release[task].set()
        await asyncio.gather(*inside, return_exceptions=True)
        assert most <= limit
        assert bound.running == 0
        await asyncio.wait_for(bound.enter(None), 1)

    asyncio.run(play())
