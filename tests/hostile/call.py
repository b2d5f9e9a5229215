"""A request that the hostile upstream is answering, as a fault sees it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NoReturn

from tests.hostile.answers import Answer, chunk

LONG = 6.0  # seconds


class Hurt(Exception):  # noqa: N818 - says what is meant
    """The connection is of no use any more."""


@dataclass
class Call:
    """The good answer has been sent as far as `stage` when the fault begins."""

    answer: Answer
    stage: str
    headers: dict[str, str]  # of the request, names in lower case
    elsewhere: str  # another server's address
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    stream: bool
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # set when the caller has hung up

    async def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def block(self, data: bytes) -> None:
        """Sends a block of a body in chunks."""
        await self.send(chunk(data))

    async def rest(self) -> None:
        """Sends the rest of the good answer."""
        await self.send(self.answer.after(self.stage))

    async def silence(self) -> NoReturn:
        """Says nothing more until the caller hangs up."""
        await self.gone.wait()
        raise Hurt

    async def pause(self, seconds: float) -> None:
        """Says nothing for a while, or until the caller hangs up."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.gone.wait(), seconds)
            raise Hurt

    async def for_long(self) -> AsyncIterator[None]:
        """Goes on for longer than any limit, and then ends the connection."""
        clock = asyncio.get_running_loop().time
        until = clock() + LONG
        while clock() < until and not self.gone.is_set():
            yield
        self.close()

    def close(self) -> NoReturn:
        """Ends the connection with FIN."""
        self.writer.close()
        raise Hurt

    def reset(self) -> NoReturn:
        """Ends the connection with RST."""
        reset(self.writer)
        raise Hurt

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Sees the caller hang up. Callers send no second request before the answer to the first."""
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await watch

    async def _watch(self) -> None:
        with suppress(ConnectionError):
            await self.reader.read(1)
        self.gone.set()


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
