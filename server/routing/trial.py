"""A trial: one attempt from its admission to its end, with all that is held for it meanwhile."""

import asyncio
from typing import TYPE_CHECKING, Any, cast

from server.errors import AttemptFailed, DeadlinePassed, InterferenceError
from server.operations import Answer, Chunk, Request
from server.routing import attempt
from server.routing.attempt import Progress
from server.routing.bounds import AGAIN, Bound, Full
from server.routing.health import Board
from server.routing.journal import Journal
from server.routing.plan import Candidate
from server.routing.ticket import Ticket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from server.operations import StreamRequest


class Trial:
    """Asks one candidate. `first` begins it, `rest` gives what follows; it must be closed in any case.

    `progress` is that of a stream, None where a whole answer is asked for.
    """

    __slots__ = (
        *("_again", "_called", "_entered", "_journal", "_patience", "_request", "_ticket"),
        *("candidate", "ends_at", "progress", "rest"),
    )

    def __init__(
        self, candidate: Candidate, request: Request, journal: Journal, *, stream: bool, again: bool = False
    ) -> None:
        self.candidate = candidate
        self._request: Any = request  # one that streams, where `stream` is true
        self.progress = Progress(attempt.choices(cast("StreamRequest", request))) if stream else None
        self._journal = journal
        self._again = again  # whether the candidate was asked before
        self._ticket: Ticket | None = None
        self._called: Ticket | None = None  # the same, once the provider is called
        self._entered = False
        self.ends_at: float | None = None  # when its limit passes
        self._patience = 0.0  # seconds for a connection, where the caller gives less
        self.rest: AsyncGenerator[Chunk, None]  # of a stream, once it is called

    @property
    def took(self) -> float | None:
        """Seconds since the provider was called; None where it was not."""
        return None if self._ticket is None else self._ticket.took

    async def first(self, board: Board) -> Answer | Chunk:
        """Gives the first chunk of a stream, when there is content; or the whole answer.

        Raises `AttemptFailed`, also where the provider is not to be asked now, and what ends the call.
        """
        provider, key = self.candidate.provider, self.candidate.identity
        ticket = self._ticket = board.admit_now(*key) or await self._admitted(board, *key)
        if not provider.bound.enter_now():
            await self._enter(provider.bound)
        self._entered = True
        ticket.called(whole=self.progress is None)
        self._called = ticket
        if not self._again:
            provider.retries.earn()
        limits = attempt.limits(provider.row.limits, self._request)
        if limits.connect < (usual := provider.row.limits.connect):
            self._patience = usual
        self.ends_at = self._journal.now() + limits.total
        within = limits, self._journal.deadline, self._journal.carried
        first: Answer | Chunk
        if self.progress is None:
            first = await attempt.whole(self.candidate, self._request, *within)
        else:
            self.rest = attempt.chunks(self.candidate, self._request, *within, self.progress)
            first = await anext(self.rest)
        ticket.content()
        return first

    async def _admitted(self, board: Board, provider: str, model: str) -> Ticket:
        try:
            async with asyncio.timeout_at(self._journal.deadline):
                return await board.admit(provider, model)
        except TimeoutError:
            raise DeadlinePassed("The deadline passed before the provider was asked.") from None

    async def _enter(self, bound: Bound) -> None:
        try:
            await bound.enter(self._journal.deadline)
        except Full:
            told = f"answers {bound.limit} requests already, as many as it may"
            raise AttemptFailed("overloaded", told, retry_after=AGAIN) from None
        except TimeoutError:
            raise DeadlinePassed("The deadline passed before it was the request's turn.") from None

    def succeeded(self) -> None:
        """The answer is whole."""
        if self._called is not None:
            self._called.succeeded()

    def failed(self, error: AttemptFailed) -> None:
        """The provider could not answer, or not to the end."""
        if error.cause == "timed_out" and (self.took or 0) < self._patience:
            error.blame = False  # no connection within the time that the caller gave for it
        if self._called is not None:
            self._called.failed(error)

    def ended(self, error: InterferenceError) -> None:
        """The call is over: the request was wrong, or the deadline has passed."""
        if self._called is None:
            return
        if isinstance(error, DeadlinePassed):
            self._called.outwaited()
        else:
            self._called.refused()

    def cancelled(self) -> None:
        """Another was faster, or the caller has left."""
        if self._called is not None:
            self._called.outwaited()

    async def close(self) -> None:
        """Ends it, and with it the call to the provider."""
        try:
            if self.progress is not None and self._called is not None:
                await self.rest.aclose()
        finally:
            if self._entered:
                self.candidate.provider.bound.leave()
            if self._ticket is not None:
                self._ticket.close()
