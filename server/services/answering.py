"""How answers are told to callers of REST: as JSON, and streams as server-sent events that end with a word
about how they went.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from google.api.httpbody_pb2 import HttpBody

from interference.v1.completion_pb2 import ChatCompletionChunk
from server.ingress.base import Answer
from server.services import call
from server.services.call import Call, Context
from server.services.failure import as_interference, response

_JSON, _EVENTS = "application/json", "text/event-stream"
_MOST = 65_536  # bytes that wait for a reader


def whole(body: bytes) -> HttpBody:
    """A whole answer."""
    return HttpBody(content_type=_JSON, data=body)


async def events(
    chunks: AsyncGenerator[ChatCompletionChunk, None], answer: Answer, running: Call
) -> AsyncGenerator[HttpBody, None]:
    """A stream's events. Before the first of them a failure is the call's status."""
    started = False
    try:
        with call.ending():
            async with aclosing(chunks):
                async for chunk in chunks:
                    if written := answer.chunk(chunk):
                        started = True
                        yield HttpBody(content_type=_EVENTS, data=written)
            yield HttpBody(content_type=_EVENTS, data=answer.end())
    except Exception as error:
        if not started:
            raise
        running.error = as_interference(error)
        failed = answer.failed(response(running.error))
        yield HttpBody(content_type=_EVENTS, data=failed)


class Sender:
    """Sends the bodies of a call. Those that are ready at the same time leave in one message, which costs
    as much as all else that is done for a chunk. It waits for none: what is held leaves as soon as the call
    waits for something, or as what is on its way has left.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._held: list[HttpBody] = []
        self._size = 0
        self._due: asyncio.Handle | None = None
        self._sending: asyncio.Task[None] | None = None

    async def send(self, body: HttpBody) -> None:
        """Takes the next body. Waits where too much is held, for a reader who is slow. Raises what kept an
        earlier one.
        """
        if self._sending is not None and self._sending.done():
            self._sending.result()
            self._sending = None
        self._held.append(body)
        self._size += len(body.data)
        if self._size > _MOST:
            await self.flush()
        elif self._due is None and self._sending is None:
            self._due = self._loop.call_soon(self._begin)

    async def flush(self) -> None:
        """Waits until all has left. Raises what keeps it."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._sending is not None:
            await self._sending
        await self._leave()

    def close(self) -> None:
        """Gives up what has not left."""
        if self._due is not None:
            self._due.cancel()
        if self._sending is not None:
            self._sending.cancel()
            self._sending.add_done_callback(_seen)

    def _begin(self) -> None:
        self._due = None
        self._sending = self._loop.create_task(self._leave())

    async def _leave(self) -> None:
        while self._held:
            held, self._held, self._size = self._held, [], 0
            body = held[0]
            if len(held) > 1:
                joined = b"".join(each.data for each in held)
                body = HttpBody(content_type=body.content_type, data=joined)
            await self._context.write(body)


def _seen(sending: asyncio.Task[None]) -> None:
    """Takes note of how it ended: that a caller has gone is told elsewhere."""
    if not sending.cancelled():
        sending.exception()
