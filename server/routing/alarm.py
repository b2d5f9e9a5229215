"""A limit to how long a task waits that may move: one timer for all the waits of an attempt."""

import asyncio
from types import TracebackType
from typing import Self

_TICK = 0.001  # seconds: uvloop's clock and timers count in milliseconds


class Alarm:
    """Ends each wait of a task that lasts too long with `TimeoutError`, as `asyncio.timeout_at` does.

    A stream waits for each of its chunks, and most limits only move on: the timer is set anew when it
    comes too early, and not for each wait, which would cost more than the chunk itself. To be stopped.
    """

    __slots__ = ("_at", "_cancelling", "_loop", "_rang", "_task", "_timer", "_until", "now")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0  # when the timer comes
        self._until = 0.0
        self._task: asyncio.Task[object] | None = None  # the one that waits
        self._cancelling = 0  # requests to cancel it that were there before
        self._rang = False

    def until(self, until: float) -> Self:
        """The next wait, the block that this opens, ends then; on the event loop's clock."""
        self._until = until
        if self._timer is None or until < self._at:
            self._set()
        return self

    def stop(self) -> None:
        """There is no other wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        self._task = task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("nothing but a task can wait")
        self._cancelling = task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if not self._rang or task is None:
            return
        self._rang = False
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from None

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = self._until
        self._timer = self._loop.call_at(self._until, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._until - self.now() > _TICK:
            self._set()
        else:
            self._rang = True
            self._task.cancel()
