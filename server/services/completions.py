"""The Completions service."""

from collections.abc import AsyncGenerator

from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextCompletion
from interference.v1.completions_pb2_grpc import CompletionsServicer
from server.routing.router import Router
from server.services import call, validate
from server.services.call import Context


class Completions(CompletionsServicer):
    """Continues texts."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def CreateTextCompletion(
        self, request: CreateTextCompletionRequest, context: Context
    ) -> TextCompletion:
        """Answers whole."""
        validate.not_streamed(request, "StreamTextCompletion")
        call.choose(request)
        validate.text(request)
        return await self._router.answer(request, call.current().journal)

    def StreamTextCompletion(
        self, request: CreateTextCompletionRequest, context: Context
    ) -> AsyncGenerator[TextCompletion, None]:
        """Answers in chunks."""
        call.choose(request)
        validate.text(request)
        return self._router.stream(request, call.current().journal)
