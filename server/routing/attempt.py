"""One attempt at one provider, within its limits of time and the caller's deadline.

Times are those of the event loop's clock, in seconds.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletionChunk
from server.errors import AttemptFailed, TimedOut
from server.routing.plan import Candidate

T = TypeVar("T")
Deadline = float | None


def check(deadline: Deadline) -> None:
    """Raises `TimedOut` where the caller's deadline has passed."""
    if deadline is not None and asyncio.get_running_loop().time() >= deadline:
        raise TimedOut("The deadline passed before any provider answered.", reason="deadline_passed")


async def whole(candidate: Candidate, answer: Awaitable[T], deadline: Deadline) -> T:
    """Waits for a whole answer. Raises `AttemptFailed` where a limit of the provider passed."""
    total = candidate.provider.row.limits.total
    started = asyncio.get_running_loop().time()
    return await _by(answer, started + total, deadline, f"gave no whole answer within {total:g} s")


async def chunks(
    candidate: Candidate, request: CreateCompletionRequest, deadline: Deadline
) -> AsyncGenerator[ChatCompletionChunk, None]:
    """Gives a stream's chunks from the first content on: what came before it is held back till then.

    Raises `AttemptFailed` where a limit passed, and where the stream ended without a finish reason.
    """
    provider = candidate.provider
    limits = provider.row.limits
    clock = asyncio.get_running_loop().time
    started = clock()
    held: list[ChatCompletionChunk] = []
    committed = finished = False
    async with aclosing(provider.driver.stream(request, provider.target(candidate.model))) as stream:
        while True:
            if committed:
                limit, told = clock() + limits.idle, f"sent nothing for {limits.idle:g} s"
            else:
                limit = started + limits.first_content
                told = f"sent no content within {limits.first_content:g} s"
            if limit > started + limits.total:
                limit, told = started + limits.total, f"was not done within {limits.total:g} s"
            chunk = await _by(anext(stream, None), limit, deadline, told)
            if chunk is None:
                break
            finished = finished or any(choice.finish_reason for choice in chunk.choices)
            if committed:
                yield chunk
                continue
            held.append(chunk)
            if finished or _has_content(chunk):
                committed = True
                for earlier in held:
                    yield earlier
                held.clear()
    if not finished:
        raise AttemptFailed("connection_lost", "ended its stream without a finish reason")


async def _by(answer: Awaitable[T], limit: float, deadline: Deadline, told: str) -> T:
    """Waits until the provider's limit or the caller's deadline, whichever is first."""
    when = limit if deadline is None else min(limit, deadline)
    try:
        async with asyncio.timeout_at(when):
            return await answer
    except TimeoutError:
        if when == deadline:
            raise TimedOut(
                "The deadline passed before the answer was there.", reason="deadline_passed"
            ) from None
        raise AttemptFailed("timed_out", told) from None


def _has_content(chunk: ChatCompletionChunk) -> bool:
    for choice in chunk.choices:
        delta = choice.delta
        if delta.content or delta.reasoning or delta.refusal or delta.tool_calls:
            return True
        if delta.HasField("audio") or delta.HasField("function_call"):
            return True
    return False
