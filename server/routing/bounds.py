"""How many calls run at a time: a bound, with a short queue before it."""

import asyncio
from collections import deque

AGAIN = 1.0  # seconds after which one who was turned away may ask again


class Full(Exception):  # noqa: N818 - it is a state, not a fault
    """As many run as may, and the queue is full, or the wait was too long."""


class Bound:
    """Lets so many in at a time (0: all); as many as `queue` wait their turn, `wait` seconds at most."""

    def __init__(self, limit: int, queue: int, wait: float) -> None:
        self.limit = limit
        self._queue = queue
        self._wait = wait
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.running = 0

    def enter_now(self) -> bool:
        """Lets one in where there is room; gives whether there is. Where not, see `enter`."""
        if self.limit and (self.running >= self.limit or self._waiting):
            return False
        self.running += 1
        return True

    async def enter(self, deadline: float | None) -> None:
        """Returns when it is one's turn. Raises `Full`, or `TimeoutError` where the deadline is sooner."""
        if self.enter_now():
            return
        if len(self._waiting) >= self._queue:
            raise Full
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        longest = loop.time() + self._wait
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(longest if deadline is None else min(longest, deadline)):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # it came at the same moment
                self.leave()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError) and (deadline is None or longest <= deadline):
                raise Full from None
            raise

    def leave(self) -> None:
        """Gives the place to the next in the queue."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1
