"""Who is next: callers take turns, and the requests of one caller keep their order."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A queue of what callers wait for.

    A caller who has been served waits until all others have been, however much they ask for.
    """

    def __init__(self) -> None:
        self._callers: OrderedDict[str, deque[T]] = OrderedDict()  # whose turn it is comes first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, caller: str, item: T) -> None:
        """Takes a place at the end of the caller's own line."""
        self._callers.setdefault(caller, deque()).append(item)
        self._count += 1

    def remove(self, caller: str, item: T) -> None:
        """Gives up a place, where it is still held."""
        line = self._callers.get(caller)
        if line is not None and item in line:
            line.remove(item)
            self._dropped(caller, line)

    def next(self, may: Callable[[T], bool]) -> T | None:
        """Takes out the next that may be served now; None where there is none."""
        for caller, line in self._callers.items():
            for item in line:
                if may(item):
                    line.remove(item)
                    self._callers.move_to_end(caller)
                    self._dropped(caller, line)
                    return item
        return None

    def _dropped(self, caller: str, line: deque[T]) -> None:
        self._count -= 1
        if not line:
            del self._callers[caller]
