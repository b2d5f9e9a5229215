"""Answers requests: asks the candidates of a plan in order until one answers, and keeps the journal."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Any, overload

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextCompletion
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse
from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse
from server.config import Load
from server.errors import AttemptFailed, DeadlinePassed, InterferenceError, InvalidRequest, RateLimited
from server.operations import Answer, Chunk, Request, StreamRequest
from server.routing import plan, race, retry
from server.routing.bounds import AGAIN, Bound, Full
from server.routing.budget import Budget
from server.routing.journal import Journal
from server.routing.plan import Candidate, Plan
from server.routing.roster import Roster
from server.routing.trial import Trial

_P95 = 0.95


class _Call(msgspec.Struct):
    """A call that is looking for its answer: who is left to ask, in order."""

    request: Request
    journal: Journal
    stream: bool
    left: deque[Candidate]


class _Found(msgspec.Struct):
    """A trial that has given its first content, after so many seconds."""

    trial: Trial
    first: Any
    took: float


class Router:
    """Answers requests with the providers of a roster. Raises `InterferenceError`."""

    def __init__(self, roster: Roster, load: Load = Load()) -> None:  # noqa: B008 - frozen
        self._roster = roster
        self._board = roster.board
        self._calls = Bound(load.max_calls, load.max_queued, load.queue_wait)
        self._hedges = Budget(load.hedge_share)

    def reconcile(self, request: CreateCompletionRequest, hints: Sequence[str]) -> None:
        """Takes hints out of a request where nobody takes them all: who does is preferred, not wanted."""
        given = [name for name in hints if request.HasField(name)]  # type: ignore[arg-type]
        if not given:
            return
        try:
            plan.make(request, self._roster)
        except InvalidRequest as error:
            if error.reason == "parameter_unsupported":
                for name in given:
                    request.ClearField(name)  # type: ignore[arg-type]

    @overload
    async def answer(self, request: CreateCompletionRequest, journal: Journal) -> ChatCompletion: ...
    @overload
    async def answer(self, request: CreateTextCompletionRequest, journal: Journal) -> TextCompletion: ...
    @overload
    async def answer(
        self, request: CreateEmbeddingsRequest, journal: Journal
    ) -> CreateEmbeddingsResponse: ...
    @overload
    async def answer(self, request: GenerateImagesRequest, journal: Journal) -> GenerateImagesResponse: ...
    async def answer(self, request: Request, journal: Journal) -> Answer:
        """Answers whole; images in base64 where the request says so."""
        if not self._admit_now(request, journal):
            await self._admit(journal)
        try:
            found = await self._find(request, journal, stream=False)
            answer: Answer = found.first
            found.trial.succeeded()
            await found.trial.close()
        finally:
            self._calls.leave()
        journal.done()
        if not isinstance(answer, GenerateImagesResponse):
            journal.used(answer.usage)
        journal.tell(answer.routing)
        return answer

    @overload
    def stream(
        self, request: CreateCompletionRequest, journal: Journal
    ) -> AsyncGenerator[ChatCompletionChunk, None]: ...
    @overload
    def stream(
        self, request: CreateTextCompletionRequest, journal: Journal
    ) -> AsyncGenerator[TextCompletion, None]: ...
    async def stream(self, request: StreamRequest, journal: Journal) -> AsyncGenerator[Chunk, None]:
        """Answers in chunks. Raises before the first chunk or after any."""
        if not self._admit_now(request, journal):
            await self._admit(journal)
        try:
            found = await self._find(request, journal, stream=True)
            trial, chunk = found.trial, found.first
            try:
                journal.tell(chunk.routing)
                _note_end(chunk, trial, journal)
                yield chunk
                async for chunk in trial.rest:
                    _note_end(chunk, trial, journal)
                    yield chunk
                trial.succeeded()
            except AttemptFailed as error:
                trial.failed(error)
                journal.failed(trial.candidate, error, trial.took)
                raise journal.broken(trial.candidate, error) from None
            except InterferenceError as error:
                trial.ended(error)
                error.provider = trial.candidate.provider.id
                raise journal.ended(trial.candidate, error, trial.took) from None
            finally:
                await trial.close()
        finally:
            self._calls.leave()

    def _admit_now(self, request: Request, journal: Journal) -> bool:
        """Takes one of the places of the worker, where one is free."""
        if request.HasField("timeout"):
            journal.limit(request.timeout)
        return self._calls.enter_now()

    async def _admit(self, journal: Journal) -> None:
        """Waits for a place. Raises `RateLimited` where there is none."""
        try:
            await self._calls.enter(journal.deadline)
        except Full:
            raise RateLimited(
                f"The server answers {self._calls.limit} calls already, as many as it may. Try again.",
                reason="overloaded",
                retry_after=AGAIN,
            ) from None
        except TimeoutError:
            raise DeadlinePassed("The deadline passed before it was the call's turn.") from None

    async def _find(self, request: Request, journal: Journal, *, stream: bool) -> _Found:
        """Asks until somebody gives content."""
        made = plan.make(request, self._roster, stream=stream)
        journal.planned(made.model, made.passed_over)
        call = _Call(request, journal, stream, deque(made.candidates))
        self._hedges.earn()
        delay = self._hedge_after(made, stream=stream)
        found = await (self._ask(call) if delay is None else self._race(call, delay))
        if found is None:
            raise journal.all_failed()
        journal.answered(found.trial.candidate, found.took)
        journal.total = found.trial.ends_at
        return found

    def _hedge_after(self, made: Plan, *, stream: bool) -> float | None:
        """Seconds after which to start a second candidate; None: never."""
        if made.hedge is None or len(made.candidates) < 2:
            return None
        if made.hedge.delay is not None:
            return made.hedge.delay
        circuit = self._board.peek(*made.candidates[0].identity)
        if circuit is None:
            return None
        seen = circuit.observed
        seen.refresh(self._board.clock())
        return (seen.first_content if stream else seen.whole).percentile(_P95)

    async def _race(self, call: _Call, delay: float) -> _Found | None:
        """Asks two at a time, where the first says nothing within `delay` seconds."""
        try:
            return await race.first(
                lambda: self._ask(call),
                delay,
                lambda: bool(call.left) and self._hedges.spend(),
                lambda late: _drop(late, call.journal),
            )
        except InterferenceError as error:
            raise call.journal.told(error) from None  # now that the other has ended, too

    async def _ask(self, call: _Call) -> _Found | None:
        """Asks those who are left, one after the other, until one gives content."""
        while call.left:
            candidate = call.left.popleft()
            tries = 0
            while True:
                found, pause = await self._try(call, candidate, tries)
                if found is not None:
                    return found
                if pause is None:
                    break
                await asyncio.sleep(pause)
                tries += 1
        return None

    async def _try(
        self, call: _Call, candidate: Candidate, tries: int
    ) -> tuple[_Found | None, float | None]:
        """Asks a candidate; gives what it found, or after how many seconds to ask it again, if at all."""
        journal = call.journal
        journal.check()
        trial = Trial(candidate, call.request, journal, stream=call.stream, again=tries > 0)
        try:
            first = await trial.first(self._board)
        except AttemptFailed as error:
            trial.failed(error)
            journal.failed(candidate, error, trial.took)
            await trial.close()
            return None, self._pause(call, candidate, error, tries)
        except InterferenceError as error:
            trial.ended(error)
            await trial.close()
            raise journal.ended(candidate, error, trial.took) from None
        except BaseException:
            trial.cancelled()
            journal.cancelled(candidate, trial.took)
            await trial.close()
            raise
        return _Found(trial, first, trial.took or 0), None

    def _pause(self, call: _Call, candidate: Candidate, error: AttemptFailed, tries: int) -> float | None:
        pause = retry.pause(
            candidate.provider.row.retry,
            error,
            tries,
            last=not call.left,
            remaining=call.journal.remaining,
        )
        return pause if pause is not None and candidate.provider.retries.spend() else None


def _note_end(chunk: Chunk, trial: Trial, journal: Journal) -> None:
    """Tells the total with the last chunk, or the last two, where the usage comes alone."""
    if trial.progress is not None and trial.progress.complete and _ends(chunk):
        journal.done()
        journal.used(chunk.usage)
        chunk.routing.total_ms = journal.total_ms or 0


def _ends(chunk: Chunk) -> bool:
    return chunk.HasField("usage") or any(choice.finish_reason for choice in chunk.choices)


async def _drop(late: _Found, journal: Journal) -> None:
    """Ends a trial that gave its content too late."""
    journal.cancelled(late.trial.candidate, late.took)
    await late.trial.close()
