"""The Chat service."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatServicer
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from server.errors import InterferenceError, InvalidRequest
from server.routing.router import Router
from server.services import call, validate
from server.services.call import Context
from server.services.failure import response


class Chat(ChatServicer):
    """Answers conversations."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def CreateCompletion(self, request: CreateCompletionRequest, context: Context) -> ChatCompletion:
        """Answers whole."""
        if request.stream:
            raise InvalidRequest(
                "stream must be true or false over REST; over gRPC call StreamCompletion.", param="stream"
            )
        validate.chat(request)
        return await self._router.complete(request, call.deadline(context))

    async def StreamCompletion(
        self, request: CreateCompletionRequest, context: Context
    ) -> AsyncIterator[ChatCompletionChunk]:
        """Answers in chunks. Over REST an error after the first is a chunk, and the end is one too."""
        validate.chat(request)
        rest = call.is_rest(call.metadata(context))
        started = False
        try:
            with call.ending():
                async with aclosing(self._router.stream(request, call.deadline(context))) as chunks:
                    async for chunk in chunks:
                        started = True
                        yield chunk
        except InterferenceError as error:
            if not (rest and started):
                raise
            failed = response(error)
            yield ChatCompletionChunk(
                error=failed.error,
                provider=failed.provider,
                model=failed.model,
                attempts=failed.attempts,
            )
            return
        if rest:
            yield ChatCompletionChunk()  # the edge makes `data: [DONE]` of it
