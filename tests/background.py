"""An event loop in a thread of its own, for what serves while a test calls."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

_PATIENCE = 10.0  # seconds to begin, and to end


@contextmanager
def served(
    begin: Callable[[], Awaitable[Iterable[asyncio.Server]]], loop: asyncio.AbstractEventLoop | None = None
) -> Iterator[None]:
    """Runs the servers that `begin` starts until the block ends, and cancels what is left of them."""
    loop = loop or asyncio.new_event_loop()
    started = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        servers = list(await begin())
        started.set()
        await stop.wait()
        for server in servers:
            server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(_PATIENCE)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_PATIENCE)
        loop.close()
