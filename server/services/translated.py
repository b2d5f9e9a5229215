"""Chat for callers of other dialects: their JSON in, their JSON or server-sent events out."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

from google.api.httpbody_pb2 import HttpBody

from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from server.errors import InterferenceError, InvalidRequest
from server.ingress.base import Asked, Reader
from server.routing.router import Router
from server.services import call, validate
from server.services.call import Call
from server.services.failure import as_interference, response


def answer(read: Reader, body: HttpBody, router: Router) -> AsyncGenerator[HttpBody, None]:
    """Answers a request of the dialect that `read` reads. Before its first message it fails as any call."""
    asked = read(body.data)
    call.choose(asked.request)
    with _in_its_words(asked):
        validate.chat(asked.request)
        router.reconcile(asked.request, asked.hints)
    running = call.current()
    if asked.stream:
        return _events(asked, router.stream(asked.request, running.journal), running)
    return _whole(asked, router, running)


async def _whole(asked: Asked, router: Router, running: Call) -> AsyncGenerator[HttpBody, None]:
    with _in_its_words(asked):
        completion: ChatCompletion = await router.answer(asked.request, running.journal)
    yield HttpBody(content_type="application/json", data=asked.answer.whole(completion))


async def _events(
    asked: Asked, chunks: AsyncGenerator[ChatCompletionChunk, None], running: Call
) -> AsyncGenerator[HttpBody, None]:
    started = False
    try:
        with call.ending(), _in_its_words(asked):
            async with aclosing(chunks):
                async for chunk in chunks:
                    if events := asked.answer.chunk(chunk):
                        started = True
                        yield _sent(events)
            yield _sent(asked.answer.end())
    except Exception as error:
        if not started:
            raise
        running.error = as_interference(error)
        yield _sent(asked.answer.failed(response(running.error)))


def _sent(events: bytes) -> HttpBody:
    return HttpBody(content_type="text/event-stream", data=events)


@contextmanager
def _in_its_words(asked: Asked) -> Iterator[None]:
    """Errors over a field of the contract name the member that it was in the dialect."""
    try:
        yield
    except InterferenceError as error:
        own = asked.names.get(error.param or "")
        if isinstance(error, InvalidRequest) and own is not None:
            error.message = f"{error.message} ({error.param} is what {own} becomes.)"
            error.param = own
        raise
