"""The Chat service."""

from collections.abc import AsyncGenerator

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatServicer
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from server.routing.router import Router
from server.services import call, validate
from server.services.call import Context


class Chat(ChatServicer):
    """Answers conversations."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def CreateCompletion(self, request: CreateCompletionRequest, context: Context) -> ChatCompletion:
        """Answers whole."""
        validate.not_streamed(request, "StreamCompletion")
        call.choose(request)
        validate.chat(request)
        return await self._router.answer(request, call.current().journal)

    def StreamCompletion(
        self, request: CreateCompletionRequest, context: Context
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Answers in chunks."""
        call.choose(request)
        validate.chat(request)
        return self._router.stream(request, call.current().journal)
