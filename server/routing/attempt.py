"""One attempt at one provider, within its limits of time and the caller's deadline.

Times are those of the event loop's clock, in seconds.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec

from interference.v1.completion_pb2 import AnswerMessage, ChunkChoice
from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextChoice
from server.errors import AttemptFailed, RequestRefused, TimedOut
from server.operations import Chunk, Request, StreamRequest
from server.routing import images
from server.routing.plan import Candidate
from server.rows import Limits

T = TypeVar("T")
Deadline = float | None
_MAX_HELD = 1000  # chunks before the first content
_TAIL = 2.0  # seconds in which the usage may follow the last finish reason


def limits(row: Limits, request: Request) -> Limits:
    """The limits of an attempt: the provider's, with those that the request gives in their place."""
    if not request.HasField("time_limits"):
        return row
    own = {field.name: value for field, value in request.time_limits.ListFields()}
    return msgspec.structs.replace(row, **own)


async def whole(
    candidate: Candidate, request: Request, limits: Limits, deadline: Deadline
) -> AsyncGenerator[Any, None]:
    """Gives a whole answer. Raises `AttemptFailed` where a limit of the provider passed."""
    provider = candidate.provider
    until = asyncio.get_running_loop().time() + limits.total
    target = provider.target(candidate.model, limits, deadline)
    told = f"gave no whole answer within {limits.total:g} s"
    yield await _by(_answer(provider.driver.answer(request, target), request), until, deadline, told)


async def _answer(answer: Awaitable[T], request: Request) -> T:
    return await images.checked(await answer, request)


class Progress:
    """How far a stream has come: which of its choices, so many, have begun, and which have finished."""

    def __init__(self, choices: int) -> None:
        self._wanted = choices
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self.content = False
        self.complete = False  # all have finished: no more than the usage follows
        self.completed_at = 0.0

    def see(self, chunk: Chunk, now: float) -> None:
        """Takes the next chunk. Raises `AttemptFailed` for a choice that was not asked for."""
        for choice in chunk.choices:
            if not 0 <= choice.index < self._wanted:
                raise AttemptFailed("broken_answer", "sent a choice that was not asked for")
            self._begun.add(choice.index)
            if choice.finish_reason:
                self._finished.add(choice.index)
                self.content = True
                self.complete = self.ended and len(self._finished) >= self._wanted
                self.completed_at = now
            self.content = self.content or _has_content(choice)

    @property
    def ended(self) -> bool:
        """Whether every choice that has begun has finished."""
        return bool(self._finished) and self._begun == self._finished


async def chunks(
    candidate: Candidate, request: StreamRequest, limits: Limits, deadline: Deadline, progress: Progress
) -> AsyncGenerator[Chunk, None]:
    """Gives a stream's chunks from the first content on: what came before it is held back till then.

    Raises `AttemptFailed` where a limit passed, and where the stream ended without a finish reason.
    """
    provider = candidate.provider
    clock = asyncio.get_running_loop().time
    started = clock()
    held: list[Chunk] = []
    target = provider.target(candidate.model, limits, deadline)
    async with aclosing(provider.driver.stream(request, target)) as stream:
        while True:
            limit, told = _limit(limits, progress, started, clock())
            try:
                if clock() >= limit or (deadline is not None and clock() >= deadline):
                    raise _late(limit, deadline, told)  # no timer fires where all has arrived already
                chunk = await _by(anext(stream, None), limit, deadline, told)
            except (AttemptFailed, RequestRefused):
                if progress.complete:  # the answer is whole; what failed is the end of the connection
                    return
                raise
            if chunk is None:
                break
            if progress.complete and not _is_rest(chunk):
                continue
            progress.see(chunk, clock())
            if not progress.content:
                held.append(chunk)
                if len(held) > _MAX_HELD:
                    raise AttemptFailed("broken_answer", f"sent {_MAX_HELD} chunks without content")
                continue
            for earlier in held:
                yield earlier
            held.clear()
            yield chunk
    if not progress.ended:
        raise AttemptFailed("connection_lost", "ended its stream without a finish reason")


def _limit(limits: Limits, progress: Progress, started: float, now: float) -> tuple[float, str]:
    """Until when the next chunk must be there, and what is said where it is not."""
    if progress.complete:
        limit, told = progress.completed_at + min(_TAIL, limits.idle), "did not end its stream"
    elif progress.content:
        limit, told = now + limits.idle, f"sent nothing for {limits.idle:g} s"
    else:
        limit = started + limits.first_content
        told = f"sent no content within {limits.first_content:g} s"
    if limit > started + limits.total:
        return started + limits.total, f"was not done within {limits.total:g} s"
    return limit, told


async def _by(answer: Awaitable[T], limit: float, deadline: Deadline, told: str) -> T:
    """Waits until the provider's limit or the caller's deadline, whichever is first."""
    when = limit if deadline is None else min(limit, deadline)
    try:
        async with asyncio.timeout_at(when):
            return await answer
    except TimeoutError:
        raise _late(limit, deadline, told) from None


def _late(limit: float, deadline: Deadline, told: str) -> Exception:
    if deadline is not None and deadline <= limit:
        return TimedOut("The deadline passed before the answer was there.", reason="deadline_passed")
    return AttemptFailed("timed_out", told)


def _is_rest(chunk: Chunk) -> bool:
    """Whether there is anything in a chunk after the last finish reason; what it says more is left out."""
    del chunk.choices[:]
    return chunk.HasField("usage") or chunk.HasField("extra")


def choices(request: StreamRequest) -> int:
    """How many choices the answer has."""
    texts = len(request.prompt) if isinstance(request, CreateTextCompletionRequest) else 1
    return (request.n or 1) * texts


def _has_content(choice: ChunkChoice | TextChoice) -> bool:
    if isinstance(choice, TextChoice):
        return bool(choice.text)
    return _says_something(choice.delta)


def _says_something(delta: AnswerMessage) -> bool:
    if delta.content or delta.reasoning or delta.refusal or delta.tool_calls or delta.annotations:
        return True
    return delta.HasField("audio") or delta.HasField("function_call") or delta.HasField("extra")
