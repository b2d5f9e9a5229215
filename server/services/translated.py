"""Chat for callers of other dialects: their JSON in, their JSON or server-sent events out."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

from google.api.httpbody_pb2 import HttpBody

from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from server.errors import InterferenceError, InvalidRequest
from server.ingress.base import Asked, Reader
from server.routing.router import Router
from server.services import answering, call, validate
from server.services.call import Call


def answer(read: Reader, body: HttpBody, router: Router) -> AsyncGenerator[HttpBody, None]:
    """Answers a request of the dialect that `read` reads. Before its first message it fails as any call."""
    asked = read(body.data)
    call.choose(asked.request)
    with _in_its_words(asked):
        validate.chat(asked.request)
        router.reconcile(asked.request, asked.hints)
    running = call.current()
    if asked.stream:
        chunks = _chunks(asked, router.stream(asked.request, running.journal))
        return answering.events(chunks, asked.answer, running)
    return _whole(asked, router, running)


async def _whole(asked: Asked, router: Router, running: Call) -> AsyncGenerator[HttpBody, None]:
    with _in_its_words(asked):
        completion: ChatCompletion = await router.answer(asked.request, running.journal)
    yield answering.whole(asked.answer.whole(completion))


async def _chunks(
    asked: Asked, chunks: AsyncGenerator[ChatCompletionChunk, None]
) -> AsyncGenerator[ChatCompletionChunk, None]:
    with _in_its_words(asked):
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk


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
