"""How a stream of chunks is told to its caller: over REST its end and its failure are chunks, too."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from server.operations import Chunk
from server.services import call
from server.services.call import Call
from server.services.failure import as_interference, response

C = TypeVar("C", bound=Chunk)


def told(chunks: AsyncGenerator[C, None], kind: type[C]) -> AsyncGenerator[C, None]:
    """Gives the chunks on. Over gRPC, and before the first chunk, a failure is the call's status."""
    running = call.current()
    return _to_the_end(chunks, kind, running) if running.rest else chunks


async def _to_the_end(
    chunks: AsyncGenerator[C, None], kind: type[C], running: Call
) -> AsyncGenerator[C, None]:
    started = False
    try:
        with call.ending():
            async with aclosing(chunks):
                async for chunk in chunks:
                    started = True
                    yield chunk
    except Exception as error:
        if not started:
            raise
        running.error = as_interference(error)
        failed = response(running.error)
        yield kind(
            error=failed.error,
            provider=failed.provider,
            model=failed.model,
            attempts=failed.attempts,
        )
        return
    yield kind()  # the edge makes `data: [DONE]` of it
