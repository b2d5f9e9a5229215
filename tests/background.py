"""What is there while a test calls: servers on an event loop in a thread of its own, and one who is not."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

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


@contextmanager
def unreachable() -> Iterator[str]:
    """An address where connections are neither taken nor refused: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
