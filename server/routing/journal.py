"""What becomes of a call: who was asked, how each attempt ended, who answered, and how long it took."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from interference.v1 import error_pb2
from interference.v1.embeddings_pb2 import EmbeddingsUsage
from interference.v1.routing_pb2 import Routing
from interference.v1.usage_pb2 import Usage
from server.errors import (
    Attempt,
    AttemptFailed,
    Cause,
    DeadlinePassed,
    InterferenceError,
    TimedOut,
)
from server.routing import outcome
from server.routing.attempt import Deadline
from server.routing.plan import Candidate

_MAX_NAME = 256  # characters of a model's name
_MAX_MESSAGE = 1000  # characters


class Journal:
    """One call. Made when it arrives; each who knows of a limit to its time says so."""

    def __init__(self) -> None:
        self.now = asyncio.get_running_loop().time  # kept: to find the loop costs Python 3.11 a system call
        self.started = self.now()
        self._began = time.monotonic()  # finer than the event loop's clock
        self.deadline: Deadline = None
        self.total: Deadline = None  # when the limit of the attempt that answers passes
        self.carried: Mapping[str, str] = {}  # headers for providers that are servers like this one
        self.model = ""
        self.served: Attempt | None = None
        self.first_content_ms: float | None = None
        self.total_ms: float | None = None
        self.usage: tuple[int, int] | None = None  # tokens read, tokens written
        self._failed: list[Attempt] = []
        self._passed_over: Sequence[Attempt] = ()
        self._retry_after: list[float] = []

    def limit(self, seconds: float) -> None:
        """The call must be answered within so many seconds of its arrival, or sooner."""
        until = self.started + seconds
        self.deadline = until if self.deadline is None else min(until, self.deadline)

    def planned(self, model: str, passed_over: Sequence[Attempt]) -> None:
        """Who is passed over is known."""
        self.model = model
        self._passed_over = passed_over

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Who was passed over, then those that gave no answer, in order, then the one that answered."""
        served = () if self.served is None else (self.served,)
        return (*self._passed_over, *self._failed, *served)

    @property
    def ends_at(self) -> Deadline:
        """When the answer must be over, on the event loop's clock."""
        if self.deadline is None or self.total is None:
            return self.total if self.deadline is None else self.deadline
        return min(self.deadline, self.total)

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline."""
        return None if self.deadline is None else self.deadline - self.now()

    def check(self) -> None:
        """Raises `TimedOut` where the deadline has passed."""
        if self.deadline is not None and self.deadline <= self.now():
            raise self.told(DeadlinePassed("The deadline passed before any provider answered."))

    def failed(self, candidate: Candidate, error: AttemptFailed, took: float | None) -> None:
        """An attempt failed, after so many seconds; None: it was not called."""
        if error.retry_after is not None:
            self._retry_after.append(error.retry_after)
        self._failed.append(_attempt(candidate, error.cause, error.message, took, error))

    def cancelled(self, candidate: Candidate, took: float | None) -> None:
        """An attempt was ended because another had been faster, or because the call ended."""
        self._failed.append(_attempt(candidate, "cancelled", "was ended before it answered", took))

    def answered(self, candidate: Candidate, took: float) -> None:
        """An attempt has given its first content, after so many seconds."""
        self.served = _attempt(candidate, "", "", took)
        self.first_content_ms = self.elapsed_ms()

    def done(self) -> None:
        """The answer is whole."""
        self.total_ms = self.elapsed_ms()

    def used(self, usage: Usage | EmbeddingsUsage) -> None:
        """The tokens of the call, where they are told."""
        if usage.total_tokens or usage.prompt_tokens:
            written = usage.completion_tokens if isinstance(usage, Usage) else 0
            self.usage = usage.prompt_tokens, written

    def ended(
        self, candidate: Candidate, error: InterferenceError, took: float | None
    ) -> InterferenceError:
        """An error that ends the call within an attempt, with all attempts up to that one."""
        cause: Cause = "timed_out" if isinstance(error, TimedOut) else "refused"
        told = "did not answer before the deadline" if cause == "timed_out" else error.message
        self.served = None
        self.failed(candidate, AttemptFailed(cause, told, status=error.http_status), took)
        return self.told(error)

    def told(self, error: InterferenceError) -> InterferenceError:
        """The error with what is known of the call."""
        error.attempts = self.attempts
        error.model = self.model or None
        return error

    def all_failed(self) -> InterferenceError:
        """The end of the list."""
        return outcome.all_failed(
            self.model, self._passed_over, self._failed, min(self._retry_after, default=None)
        )

    def broken(self, candidate: Candidate, error: AttemptFailed) -> InterferenceError:
        """A failure after content has left."""
        self.served = None
        return outcome.broken(candidate.model, candidate.provider.id, error, self.attempts)

    def tell(self, routing: Routing) -> None:
        """Tells the caller, in an answer's routing, in place of what stands there."""
        routing.Clear()
        for attempt in self.attempts:
            put(attempt, routing.attempts.add())
        if self.first_content_ms is not None:
            routing.time_to_first_content_ms = self.first_content_ms
        if self.total_ms is not None:
            routing.total_ms = self.total_ms

    def elapsed_ms(self) -> float:
        """Milliseconds since the call's arrival."""
        return round((time.monotonic() - self._began) * 1000, 3)


def as_message(attempt: Attempt) -> error_pb2.Attempt:
    """An attempt as the contract has it."""
    message = error_pb2.Attempt()
    put(attempt, message)
    return message


def put(attempt: Attempt, message: error_pb2.Attempt) -> None:
    """Writes an attempt into an empty message. Of what callers and upstreams say, no more than a bound."""
    message.provider = attempt.provider
    message.model = attempt.model[:_MAX_NAME]
    if attempt.cause:
        message.cause = attempt.cause
        message.message = attempt.message[:_MAX_MESSAGE]
    if attempt.status is not None:
        message.status = attempt.status
    if attempt.duration_ms is not None:
        message.duration_ms = attempt.duration_ms


def _attempt(
    candidate: Candidate,
    cause: Cause,
    message: str,
    took: float | None,
    error: AttemptFailed | None = None,
) -> Attempt:
    provider, model = candidate.identity
    return Attempt(
        provider=provider,
        model=model,
        cause=cause,
        message=message,
        status=None if error is None else error.status,
        duration_ms=None if took is None else round(took * 1000, 3),
        param=None if error is None else error.param,
    )
