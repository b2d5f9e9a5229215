"""One attempt at one provider, within its limits of time and the caller's deadline.

Times are those of the event loop's clock, in seconds.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Any, NamedTuple, TypeVar

import msgspec

from interference.v1.completion_pb2 import AnswerMessage, ChunkChoice
from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextChoice
from server.errors import AttemptFailed, DeadlinePassed, RequestRefused
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
    told = f"gave no whole answer within {limits.total:g} s"
    limit = _Limit(until, told, blame=limits.total >= provider.row.limits.total)
    target = provider.target(candidate.model, limits, deadline)
    yield await _by(_answer(provider.driver.answer(request, target), request), limit, deadline)


async def _answer(answer: Awaitable[T], request: Request) -> T:
    return await images.checked(await answer, request)


class _Limit(NamedTuple):
    """Until when something must be there, what is said where it is not, and whether that is to blame."""

    until: float
    told: str
    blame: bool = True


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
            now = clock()
            limit = _limit(limits, provider.row.limits, progress, started, now)
            try:
                if now >= limit.until or (deadline is not None and now >= deadline):
                    raise _late(limit, deadline)  # no timer fires where all has arrived already
                chunk = await _by(anext(stream, None), limit, deadline)
            except (AttemptFailed, RequestRefused, DeadlinePassed):
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


def _limit(limits: Limits, row: Limits, progress: Progress, started: float, now: float) -> _Limit:
    """The provider is not to blame where a limit is the caller's own, or its reader may have been slow."""
    if progress.complete:
        limit = _Limit(progress.completed_at + min(_TAIL, limits.idle), "did not end its stream")
    elif progress.content:
        told = f"sent nothing for {limits.idle:g} s"
        limit = _Limit(now + limits.idle, told, blame=limits.idle >= row.idle)
    else:
        told = f"sent no content within {limits.first_content:g} s"
        blame = limits.first_content >= row.first_content
        limit = _Limit(started + limits.first_content, told, blame=blame)
    if limit.until > started + limits.total:
        told = f"was not done within {limits.total:g} s"
        blame = limits.total >= row.total and not progress.content
        return _Limit(started + limits.total, told, blame=blame)
    return limit


async def _by(answer: Awaitable[T], limit: _Limit, deadline: Deadline) -> T:
    """Waits until the provider's limit or the caller's deadline, whichever is first."""
    try:
        async with asyncio.timeout_at(limit.until if deadline is None else min(limit.until, deadline)):
            return await answer
    except TimeoutError:
        raise _late(limit, deadline) from None


def _late(limit: _Limit, deadline: Deadline) -> Exception:
    if deadline is not None and deadline <= limit.until:
        return DeadlinePassed("The deadline passed before the answer was there.")
    return AttemptFailed("timed_out", limit.told, blame=limit.blame)


def _is_rest(chunk: Chunk) -> bool:
    """Whether a chunk after the last finish reason has more than content, which comes too late."""
    late = [choice for choice in chunk.choices if not choice.HasField("extra") or _has_content(choice)]
    for choice in late:
        chunk.choices.remove(choice)  # type: ignore[arg-type]  # of either kind
    return bool(chunk.choices) or chunk.HasField("usage") or chunk.HasField("extra")


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
