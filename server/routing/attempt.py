"""One attempt at one provider, within its limits of time and the caller's deadline.

Times are those of the event loop's clock, in seconds.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import msgspec

from interference.v1.completion_pb2 import AnswerMessage, ChunkChoice
from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextChoice
from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse
from server.errors import AttemptFailed, DeadlinePassed, RequestRefused
from server.operations import Answer, Chunk, Request, StreamRequest
from server.routing import images
from server.routing.alarm import Alarm
from server.routing.plan import Candidate
from server.rows import Limits

Deadline = float | None
_MAX_HELD = 1000  # chunks before the first content
_TAIL = 2.0  # seconds in which the usage may follow the last finish reason
_OVER = "The deadline passed before the answer was there."
_DEADLINE = "deadline"
_TOLD = {
    "first_content": "sent no content within {:g} s",
    "idle": "sent nothing for {:g} s",
    "total": "was not done within {:g} s",
}


def limits(row: Limits, request: Request) -> Limits:
    """The limits of an attempt: the provider's, with those that the request gives in their place."""
    if not request.HasField("time_limits"):
        return row
    own = {field.name: value for field, value in request.time_limits.ListFields()}
    return msgspec.structs.replace(row, **own)


async def whole(
    candidate: Candidate, request: Request, limits: Limits, deadline: Deadline, carried: Mapping[str, str]
) -> Answer:
    """Gives a whole answer. Raises `AttemptFailed` where a limit of the provider passed."""
    provider = candidate.provider
    target = provider.target(candidate.model, limits, deadline, carried)
    alarm = Alarm()
    until = alarm.now() + limits.total
    try:
        with alarm.until(until if deadline is None else min(until, deadline)):
            answer = await provider.driver.answer(request, target)
            if isinstance(answer, GenerateImagesResponse) and isinstance(request, GenerateImagesRequest):
                await images.check(answer, request)
            return answer
    except TimeoutError:
        if deadline is not None and deadline <= until:
            raise DeadlinePassed(_OVER) from None
        told = f"gave no whole answer within {limits.total:g} s"
        blame = limits.total >= provider.row.limits.total
        raise AttemptFailed("timed_out", told, blame=blame) from None
    finally:
        alarm.stop()


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
            if not 0 <= (index := choice.index) < self._wanted:
                raise AttemptFailed("broken_answer", "sent a choice that was not asked for")
            self._begun.add(index)
            if choice.finish_reason:
                self._finished.add(index)
                self.content = True
                self.complete = self.ended and len(self._finished) >= self._wanted
                self.completed_at = now
            elif not self.content:
                self.content = _has_content(choice)

    @property
    def ended(self) -> bool:
        """Whether every choice that has begun has finished."""
        return bool(self._finished) and self._begun == self._finished


async def chunks(
    candidate: Candidate,
    request: StreamRequest,
    limits: Limits,
    deadline: Deadline,
    carried: Mapping[str, str],
    progress: Progress,
) -> AsyncGenerator[Chunk, None]:
    """Gives a stream's chunks from the first content on: what came before it is held back till then.

    Raises `AttemptFailed` where a limit passed, and where the stream ended without a finish reason.
    """
    provider = candidate.provider
    alarm = Alarm()
    clock = alarm.now
    started = clock()
    held: list[Chunk] = []
    target = provider.target(candidate.model, limits, deadline, carried)
    try:
        async with aclosing(provider.driver.stream(request, target)) as stream:
            while True:
                now = clock()
                until, limit = _limit(limits, deadline, progress, started, now)
                try:
                    if now >= until:  # no timer fires where all has arrived already
                        raise TimeoutError
                    with alarm.until(until):
                        chunk = await anext(stream, None)
                except (TimeoutError, AttemptFailed, RequestRefused) as error:
                    if progress.complete:  # the answer is whole; what failed is the end of the connection
                        return
                    if isinstance(error, TimeoutError):
                        raise _late(limit, limits, provider.row.limits, progress) from None
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
    finally:
        alarm.stop()
    if not progress.ended:
        raise AttemptFailed("connection_lost", "ended its stream without a finish reason")


def _limit(
    limits: Limits, deadline: Deadline, progress: Progress, started: float, now: float
) -> tuple[float, str]:
    """Until when the next chunk must be there, and the name of the limit that says so."""
    if progress.complete:
        until, name = progress.completed_at + min(_TAIL, limits.idle), "idle"
    elif progress.content:
        until, name = now + limits.idle, "idle"
    else:
        until, name = started + limits.first_content, "first_content"
    if until > (total := started + limits.total):
        until, name = total, "total"
    return (until, name) if deadline is None or until < deadline else (deadline, _DEADLINE)


def _late(name: str, limits: Limits, row: Limits, progress: Progress) -> Exception:
    """The provider is not to blame where a limit is the caller's own, or its reader may have been slow."""
    if name == _DEADLINE:
        return DeadlinePassed(_OVER)
    seconds: float = getattr(limits, name)
    blame = seconds >= getattr(row, name) and not (name == "total" and progress.content)
    return AttemptFailed("timed_out", _TOLD[name].format(seconds), blame=blame)


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
