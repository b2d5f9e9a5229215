"""Those who want to hear of each change of health at once."""

import asyncio
from collections.abc import AsyncGenerator

Key = tuple[str, str]  # a provider's id, and a model by the provider's own name or nothing


class Watchers:
    """Everybody who watches. What a slow one has not read yet is kept once, however often it changes."""

    def __init__(self) -> None:
        self._pending: dict[asyncio.Event, dict[Key, None]] = {}
        self._closed = False

    def tell(self, key: Key) -> None:
        """Something changed."""
        for woken, pending in self._pending.items():
            pending[key] = None
            woken.set()

    def close(self) -> None:
        """Ends all watching."""
        self._closed = True
        for woken in self._pending:
            woken.set()

    async def changes(self) -> AsyncGenerator[list[Key], None]:
        """Gives what changed since the last time, as soon as something does, until `close`.

        It begins with nothing, when it watches: what is read after that misses no change.
        """
        woken = asyncio.Event()
        self._pending[woken] = {}
        try:
            yield []
            while not self._closed:
                await woken.wait()
                woken.clear()
                if keys := list(self._pending[woken]):
                    self._pending[woken].clear()
                    yield keys
        finally:
            del self._pending[woken]
