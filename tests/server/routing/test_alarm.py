"""The alarm that ends waits: when it rings, and that it touches nothing else."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.routing.alarm import Alarm

SHORT, LONG, NEVER = 0.05, 0.15, 600.0  # seconds


@pytest.fixture
async def alarm() -> AsyncIterator[Alarm]:
    made = Alarm()
    yield made
    made.stop()


def now() -> float:
    return asyncio.get_running_loop().time()


async def after(seconds: float) -> None:
    """Waits for an event that comes after so many seconds."""
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, event.set)
    await event.wait()


async def test_a_wait_that_lasts_too_long_ends_when_its_time_is_over(alarm: Alarm) -> None:
    began = now()
    with pytest.raises(TimeoutError), alarm.until(began + SHORT):
        await after(NEVER)
    assert SHORT - 0.002 <= now() - began < LONG


async def test_a_time_that_has_passed_ends_a_wait_at_once(alarm: Alarm) -> None:
    with pytest.raises(TimeoutError), alarm.until(now() - 1):
        await after(NEVER)


async def test_what_need_not_wait_is_not_ended(alarm: Alarm) -> None:
    with alarm.until(now() - 1):
        found = 1
    assert found == 1


async def test_a_time_that_moves_on_is_kept_to_by_the_timer_that_is_set(alarm: Alarm) -> None:
    for _ in range(3):
        with alarm.until(now() + SHORT):
            await after(0)
    began = now()
    with alarm.until(began + NEVER):
        await after(LONG)  # the timer comes, too early
    with pytest.raises(TimeoutError), alarm.until(now() + SHORT):
        await after(NEVER)
    assert now() - began >= LONG + SHORT - 0.004


async def test_a_time_that_moves_closer_is_kept_to(alarm: Alarm) -> None:
    with alarm.until(now() + NEVER):
        await after(0)
    with pytest.raises(TimeoutError), alarm.until(now() + SHORT):
        await after(NEVER)


async def test_nothing_is_ended_between_two_waits(alarm: Alarm) -> None:
    with alarm.until(now() + SHORT):
        await after(0)
    await after(LONG)
    with pytest.raises(TimeoutError), alarm.until(now() + SHORT):
        await after(NEVER)


async def test_nothing_is_ended_after_the_alarm_was_stopped() -> None:
    alarm = Alarm()
    with alarm.until(now() + SHORT):
        await after(0)
    alarm.stop()
    await after(LONG)


async def test_an_error_within_a_wait_is_given_on(alarm: Alarm) -> None:
    with pytest.raises(KeyError), alarm.until(now() + NEVER):
        raise KeyError


@pytest.mark.parametrize("until", [pytest.param(NEVER, id="before"), pytest.param(-1.0, id="with it")])
async def test_who_is_cancelled_by_another_stays_cancelled(until: float) -> None:
    async def wait() -> None:
        alarm = Alarm()
        try:
            with alarm.until(now() + until):
                await after(NEVER)
        finally:
            alarm.stop()

    task = asyncio.create_task(wait())
    await after(0)
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_can_be_cancelled_after_its_wait_was_ended(alarm: Alarm) -> None:
    async def wait() -> None:
        with pytest.raises(TimeoutError), alarm.until(now() + SHORT):
            await after(NEVER)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    await asyncio.create_task(wait())


async def test_one_alarm_serves_one_task_after_the_other(alarm: Alarm) -> None:
    async def first() -> None:
        with alarm.until(now() + SHORT):
            await after(0)

    await asyncio.create_task(first())
    with pytest.raises(TimeoutError), alarm.until(now() + SHORT):
        await after(NEVER)
