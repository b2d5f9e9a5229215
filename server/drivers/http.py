"""A driver for any dialect spoken over HTTP: the dialect translates, the transport sends and reads."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from server import operations
from server.drivers.base import Dialect, Listed, Target
from server.errors import AttemptFailed
from server.operations import Answer, Chunk, Request, StreamRequest
from server.transport import EVENT_BYTES, HttpAnswer, HttpRequest, Transport

DEADLINE_HEADER = "x-request-timeout"
LOOP_HEADER = "cdn-loop"  # https://www.rfc-editor.org/rfc/rfc8586

Sign = Callable[[HttpRequest, Target], Awaitable[HttpRequest]]


class HttpDriver:
    """Answers with what an HTTP provider answers. `sign` adds what proves who asks to each request."""

    def __init__(self, dialect: Dialect, transport: Transport, sign: Sign | None = None) -> None:
        self._dialect = dialect
        self._transport = transport
        self._sign = sign

    async def close(self) -> None:
        """Nothing is held: the transport is everybody's."""

    async def models(self, target: Target) -> list[Listed]:
        """The provider's list of models."""
        return self._dialect.models(await self._fetch(self._dialect.models_request(target), target))

    async def answer(self, request: Request, target: Target) -> Answer:
        """Answers whole."""
        translator = self._dialect.translators.get(type(request))
        if translator is None:
            raise _lacking(request)
        asked = translator.request(request, target, stream=False)
        return translator.answer(await self._fetch(asked, target), request, target)

    async def stream(self, request: StreamRequest, target: Target) -> AsyncGenerator[Chunk, None]:
        """Answers in chunks."""
        translator = self._dialect.streams.get(type(request))
        if translator is None:
            raise _lacking(request)
        decoder = translator.decoder(request, target)
        asked = translator.request(request, target, stream=True)
        if self._sign is not None:
            asked = await self._sign(asked, target)
        framing = self._dialect.framing(EVENT_BYTES)
        async with self._transport.open(self._sent(asked, target), target.limits) as answer:
            if answer.status != 200 or answer.media_type != framing.media_type:
                raise self._dialect.failure(await answer.read(), target)
            async with aclosing(answer.events(framing)) as events:
                async for arrived in events:
                    for chunk in decoder.feed(arrived):
                        yield chunk
                    if decoder.done:
                        break
            for chunk in decoder.end():
                yield chunk

    async def _fetch(self, request: HttpRequest, target: Target) -> HttpAnswer:
        if self._sign is not None:
            request = await self._sign(request, target)
        async with self._transport.open(self._sent(request, target), target.limits) as answer:
            whole = await answer.read()
        if whole.status != 200:
            raise self._dialect.failure(whole, target)
        return whole

    def _sent(self, request: HttpRequest, target: Target) -> HttpRequest:
        """Passes on who has had the request, so that a circle is found, and the caller's deadline, in
        seconds from now: whoever honours it stops working in vain.
        """
        passed = target.carried.get(LOOP_HEADER)
        if target.deadline is None and passed is None:
            return request
        headers = dict(request.headers)
        if passed is not None:
            headers[LOOP_HEADER] = passed
        if target.deadline is not None:
            remaining = max(target.deadline - self._transport.now(), 0.001)
            headers[DEADLINE_HEADER] = f"{remaining:.3f}"
        return HttpRequest(request.method, request.url, headers, request.body)


def _lacking(request: Request) -> AttemptFailed:
    return AttemptFailed("no_such_model", f"has no {operations.of(request).noun}s")
