"""Runs a plan: asks its candidates in order until one answers, and says what became of the others."""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import overload

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextCompletion
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse
from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse
from server.errors import Attempt, AttemptFailed, Cause, InterferenceError, InvalidRequest, TimedOut
from server.operations import Answer, Chunk, Request, StreamRequest
from server.routing import attempt, outcome, plan
from server.routing.attempt import Deadline
from server.routing.plan import Candidate, Plan
from server.routing.roster import Roster


class _Journal:
    """The attempts of one call as they fail."""

    def __init__(self, made: Plan) -> None:
        self._plan = made
        self._failed: list[Attempt] = []
        self._retry_after: list[float] = []
        self._started = 0.0

    def begin(self, deadline: Deadline) -> None:
        """The next attempt begins. Raises `TimedOut` where the caller's deadline has passed."""
        self._started = asyncio.get_running_loop().time()
        if deadline is not None and self._started >= deadline:
            raise TimedOut(
                "The deadline passed before any provider answered.",
                reason="deadline_passed",
                model=self._plan.model or None,
                attempts=(*self._failed, *self._plan.passed_over),
            )

    def failed(self, candidate: Candidate, error: AttemptFailed) -> None:
        """The attempt failed."""
        duration = asyncio.get_running_loop().time() - self._started
        if error.retry_after is not None:
            self._retry_after.append(error.retry_after)
        self._failed.append(
            Attempt(
                provider=candidate.provider.id,
                model=candidate.provider.target(candidate.model).model,
                cause=error.cause,
                message=error.message,
                status=error.status,
                duration_ms=round(duration * 1000, 3),
                param=error.param,
            )
        )

    def ended(self, candidate: Candidate, error: InterferenceError) -> InterferenceError:
        """An error that ends the call within an attempt, with all attempts up to that one."""
        cause: Cause = "timed_out" if isinstance(error, TimedOut) else "refused"
        told = "did not answer before the deadline" if cause == "timed_out" else error.message
        self.failed(candidate, AttemptFailed(cause, told, status=error.http_status))
        error.attempts = (*self._failed, *self._plan.passed_over)
        error.model = self._plan.model or None
        return error

    def all_failed(self) -> InterferenceError:
        """The end of the list."""
        return outcome.all_failed(
            self._plan.model,
            self._plan.passed_over,
            self._failed,
            min(self._retry_after, default=None),
        )

    def broken(self, candidate: Candidate, error: AttemptFailed) -> InterferenceError:
        """A failure after content has left."""
        return outcome.broken(candidate.model, candidate.provider.id, error, self._failed)


class Router:
    """Answers requests with the providers of a roster. Raises `InterferenceError`."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

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
    async def answer(self, request: CreateCompletionRequest, deadline: Deadline) -> ChatCompletion: ...
    @overload
    async def answer(self, request: CreateTextCompletionRequest, deadline: Deadline) -> TextCompletion: ...
    @overload
    async def answer(
        self, request: CreateEmbeddingsRequest, deadline: Deadline
    ) -> CreateEmbeddingsResponse: ...
    @overload
    async def answer(
        self, request: GenerateImagesRequest, deadline: Deadline
    ) -> GenerateImagesResponse: ...
    async def answer(self, request: Request, deadline: Deadline) -> Answer:
        """Answers whole; images in base64 where the request says so."""
        made = plan.make(request, self._roster)
        journal = _Journal(made)
        for candidate in made.candidates:
            journal.begin(deadline)
            try:
                return await attempt.whole(candidate, _ask(candidate, request), deadline)
            except AttemptFailed as error:
                journal.failed(candidate, error)
            except InterferenceError as error:
                raise journal.ended(candidate, error) from None
        raise journal.all_failed()

    @overload
    def stream(
        self, request: CreateCompletionRequest, deadline: Deadline
    ) -> AsyncGenerator[ChatCompletionChunk, None]: ...
    @overload
    def stream(
        self, request: CreateTextCompletionRequest, deadline: Deadline
    ) -> AsyncGenerator[TextCompletion, None]: ...
    async def stream(self, request: StreamRequest, deadline: Deadline) -> AsyncGenerator[Chunk, None]:
        """Answers in chunks. Raises before the first chunk or after any."""
        made = plan.make(request, self._roster)
        journal = _Journal(made)
        for candidate in made.candidates:
            committed = False
            journal.begin(deadline)
            try:
                async with aclosing(attempt.chunks(candidate, request, deadline)) as chunks:
                    async for chunk in chunks:
                        committed = True
                        yield chunk
                return
            except AttemptFailed as error:
                journal.failed(candidate, error)
                if committed:
                    raise journal.broken(candidate, error) from None
            except InterferenceError as error:
                raise journal.ended(candidate, error) from None
        raise journal.all_failed()


async def _ask(candidate: Candidate, request: Request) -> Answer:
    provider = candidate.provider
    answer = await provider.driver.answer(request, provider.target(candidate.model))
    if isinstance(request, GenerateImagesRequest) and isinstance(answer, GenerateImagesResponse):
        if request.response_format == "b64_json" and not all(image.b64_json for image in answer.data):
            raise AttemptFailed("broken_answer", "gave an address where base64 was asked for")
        await asyncio.to_thread(_check_base64, answer)
    return answer


def _check_base64(made: GenerateImagesResponse) -> None:
    """Raises `AttemptFailed` for an image that is none; takes away what makes a `data:` URL of one."""
    for image in made.data:
        if image.b64_json.startswith("data:"):
            image.b64_json = image.b64_json.partition(",")[2]
        try:
            base64.b64decode(image.b64_json, validate=True)
        except (binascii.Error, ValueError):
            raise AttemptFailed("broken_answer", "gave an image that is not base64") from None
