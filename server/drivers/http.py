"""A driver for any dialect spoken over HTTP: the dialect translates, the transport sends and reads."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse
from server.drivers.base import Dialect, Target
from server.transport import HttpAnswer, HttpRequest, Transport


class HttpDriver:
    """Answers with what an HTTP provider answers."""

    def __init__(self, dialect: Dialect, transport: Transport) -> None:
        self._dialect = dialect
        self._transport = transport

    async def models(self, target: Target) -> list[str]:
        """The provider's list of models."""
        return self._dialect.models(await self._fetch(self._dialect.models_request(target), target))

    async def complete(self, request: CreateCompletionRequest, target: Target) -> ChatCompletion:
        """Answers whole."""
        asked = self._dialect.chat_request(request, target, stream=False)
        return self._dialect.completion(await self._fetch(asked, target), target)

    async def stream(
        self, request: CreateCompletionRequest, target: Target
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Answers in chunks."""
        decoder = self._dialect.decoder(request, target)
        asked = self._dialect.chat_request(request, target, stream=True)
        async with self._transport.open(asked, target.row.limits) as answer:
            if answer.status != 200 or not answer.is_event_stream:
                raise self._dialect.failure(await answer.read(), target)
            async with aclosing(answer.events()) as events:
                async for arrived in events:
                    for chunk in decoder.feed(arrived):
                        yield chunk
                    if decoder.done:
                        return

    async def images(self, request: GenerateImagesRequest, target: Target) -> GenerateImagesResponse:
        """Makes images."""
        asked = self._dialect.images_request(request, target)
        return self._dialect.images(await self._fetch(asked, target), target)

    async def _fetch(self, request: HttpRequest, target: Target) -> HttpAnswer:
        async with self._transport.open(request, target.row.limits) as answer:
            whole = await answer.read()
        if whole.status != 200:
            raise self._dialect.failure(whole, target)
        return whole
