"""Chat for callers of other dialects: their JSON in, their JSON or server-sent events out."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from google.api.httpbody_pb2 import HttpBody

from server.errors import InterferenceError
from server.ingress.base import Asked, Reader
from server.routing.router import Router
from server.services import call, validate
from server.services.call import Context
from server.services.failure import response


async def answer(read: Reader, body: HttpBody, router: Router, context: Context) -> AsyncIterator[HttpBody]:
    """Answers a request of the dialect that `read` reads. Before its first message it fails as any call."""
    asked = read(body.data)
    call.choose(asked.request, context)
    validate.chat(asked.request)
    with call.ending():
        if asked.stream:
            async for events in _events(asked, router, context):
                yield HttpBody(content_type="text/event-stream", data=events)
        else:
            completion = await router.answer(asked.request, call.deadline(context))
            yield HttpBody(content_type="application/json", data=asked.answer.whole(completion))


async def _events(asked: Asked, router: Router, context: Context) -> AsyncIterator[bytes]:
    started = False
    try:
        with call.ending():
            async with aclosing(router.stream(asked.request, call.deadline(context))) as chunks:
                async for chunk in chunks:
                    if events := asked.answer.chunk(chunk):
                        started = True
                        yield events
    except InterferenceError as error:
        if not started:
            raise
        yield asked.answer.failed(response(error))
    else:
        yield asked.answer.end()
