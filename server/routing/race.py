"""Hedging: a second candidate is started where the first has sent no content after a delay."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def first(
    run: Callable[[], Awaitable[T | None]],
    delay: float,
    may_hedge: Callable[[], bool],
    drop: Callable[[T], Awaitable[None]],
) -> T | None:
    """What the first of at most two runs gives; None where neither gives anything.

    The second is started after `delay` seconds, if it may be. Whoever comes later is cancelled and has
    ended when this returns; what it gave nevertheless is dropped. An error of one, the first, is raised
    where the other finds nothing, either.
    """
    runs = {asyncio.ensure_future(run())}
    found: T | None = None
    failed: BaseException | None = None
    try:
        done, _ = await asyncio.wait(runs, timeout=delay)
        if not done and may_hedge():
            runs.add(asyncio.ensure_future(run()))
        running = set(runs)
        while running and found is None:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                failed = failed or one.exception()
                if found is None and one.exception() is None and (found := one.result()) is not None:
                    runs.remove(one)
        await _end(runs, drop)
        if found is None and failed is not None:
            raise failed
    except BaseException:
        await _end(runs, drop)
        if found is not None:
            await drop(found)
        raise
    return found


async def _end(runs: Iterable[asyncio.Future[T | None]], drop: Callable[[T], Awaitable[None]]) -> None:
    for one in runs:
        one.cancel()
    for ended in await asyncio.gather(*runs, return_exceptions=True):
        if ended is not None and not isinstance(ended, BaseException):
            await drop(ended)
