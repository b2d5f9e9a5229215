"""What stands around every call of ours: a key is asked for, errors become statuses, the log has a line."""

from __future__ import annotations

import asyncio
import hmac
import operator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError

from interference_edge.contract import takes_body
from server.errors import DeadlinePassed, InterferenceError, InvalidRequest, Unauthenticated
from server.ingress.openai import OpenAIAnswer
from server.services import answering, call, failure, hops, telling

_OURS = "/interference.v1."
_OPEN = frozenset({"/interference.v1.Images/GetMedia"})  # its names are secrets themselves
_KEY_HEADERS = ("g4f-api-key", "x-api-key")
_OPENAI = OpenAIAnswer()
_write = operator.methodcaller("SerializeToString")

if TYPE_CHECKING:  # generic in the stubs alone
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from server.services.call import Call, Context

    Handler = grpc.RpcMethodHandler[Any, Any]
    Log = Callable[[bytes], None]
    Handle = Callable[[Any, Context], Awaitable[Any]]
    Serve = Callable[[Any, Context, Call], Awaitable[Any]]  # runs a handler of ours


class Edge(grpc.aio.ServerInterceptor):
    """Wraps each handler of ours once. `keys` are those that callers may show; none: no key is asked.

    `log` takes the line of each call that has ended. `name` is what servers like this one know it by.
    """

    def __init__(self, keys: frozenset[str], log: Log | None = None, name: str = "") -> None:
        self._keys = [key.encode() for key in keys]
        self._log = log
        self._name = name
        self._wrapped: dict[str, Handler] = {}
        self._running: set[asyncio.Task[Any] | None] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Gives the handler of a call."""
        method = handler_call_details.method
        if (known := self._wrapped.get(method)) is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None or not method.startswith(_OURS):
            return handler
        self._wrapped[method] = wrapped = self._wrap(method, handler, [] if method in _OPEN else self._keys)
        return wrapped

    async def quiet(self) -> None:
        """Waits until no call is running."""
        await self._quiet.wait()

    def end_calls(self) -> None:
        """Ends the running calls with an error that says why, which being cut off would not."""
        for task in self._running:
            if task is not None:
                task.cancel(call.ENDING)

    def _wrap(self, method: str, handler: Handler, keys: list[bytes]) -> Handler:
        read = _reader(handler.request_deserializer)
        name = method.removeprefix(_OURS).replace("/", ".")
        translated = _is_translated(method)
        if handler.response_streaming:
            streamed = self._around(name, keys, _stream(handler.unary_stream, translated=translated))
            return grpc.unary_stream_rpc_method_handler(streamed, read, _write)
        unary = self._around(name, keys, _unary(handler.unary_unary, translated=translated))
        return grpc.unary_unary_rpc_method_handler(unary, read, _write)

    def _around(self, name: str, keys: list[bytes], serve: Serve) -> Handle:
        """Stands around a call: admits it, makes a status of its error, and tells the log of it."""

        async def handle(request: Any, context: Context) -> Any:
            task = asyncio.current_task()
            running, status = call.begin(context), "OK"
            stalled: InterferenceError | None = None
            self._running.add(task)
            self._quiet.clear()
            try:
                with call.ending():
                    _admit(running.headers, keys)
                    call.set_deadline(running, context)
                    running.journal.carried = hops.carried(running, context, self._name)
                    return await serve(_readable(request), context, running)
            except (asyncio.CancelledError, grpc.aio.InternalError) as error:
                status = "CANCELLED"
                if error.args != (call.STALLED,) or task is None:
                    raise
                task.uncancel()
                stalled = running.error = DeadlinePassed("The time was over before all was read.")
            except Exception as error:
                running.error = failure.as_interference(error)
                await _fail(context, running.error, running)
            finally:
                self._running.discard(task)
                if not self._running:
                    self._quiet.set()
                if running.error is not None:  # which may have been told in the stream
                    status = running.error.code.name
                if self._log is not None:
                    self._log(telling.line(running, name, status))
            if stalled is not None:  # told when all before it has been read; nothing is held until then
                await _fail(context, stalled, running)
            return None

        return handle


def _is_translated(method: str) -> bool:
    """Whether callers of REST get the answer as JSON that is written here: that of each call with a body,
    which for them returns an HttpBody (`interference_edge.transcoder`). Some always do.
    """
    path = method.removeprefix("/").replace("/", ".")
    found = descriptor_pool.Default().FindMethodByName(path)
    return takes_body(found.GetOptions()) and found.output_type is not HttpBody.DESCRIPTOR


def _unary(behaviour: Any, *, translated: bool) -> Serve:
    async def unary(request: Any, context: Context, running: Call) -> Any:
        answer = await behaviour(request, context)
        if running.rest:
            if running.journal.served is not None:
                # With the answer: what leaves before is a write of its own. The edge makes headers of it.
                context.set_trailing_metadata(telling.headers(running))
            if translated:
                return answering.whole(_OPENAI.whole(answer))
        return answer

    return unary


def _stream(behaviour: Any, *, translated: bool) -> Serve:
    """Writes the messages itself. gRPC would iterate over a generator, and leave it behind where it
    cancels itself in writing; here the cancellation is met, and all is closed at once.
    """

    async def stream(request: Any, context: Context, running: Call) -> None:
        answer = behaviour(request, context)
        if running.rest and translated:
            answer = answering.events(answer, _OPENAI, running)
        async with aclosing(answer) as messages:
            first = await anext(messages, None)
            if running.rest and running.journal.served is not None:
                await context.send_initial_metadata(telling.headers(running))
            with call.bounded(running.journal):
                if isinstance(first, HttpBody):
                    await _send(first, messages, context)
                elif first is not None:
                    write = context.write
                    await write(first)
                    async for message in messages:
                        await write(message)

    return stream


async def _send(first: HttpBody, more: AsyncIterator[HttpBody], context: Context) -> None:
    sender = answering.Sender(context)
    try:
        await sender.send(first)
        async for body in more:
            await sender.send(body)
        await sender.flush()
    finally:
        sender.close()


def _reader(deserialize: Any) -> Callable[[bytes], Any]:
    """A deserializer that gives its error, for the handler to raise: raised here it would be UNKNOWN."""

    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError as error:
            return error

    return read


def _readable(request: Any) -> Any:
    if isinstance(request, DecodeError):
        raise InvalidRequest("The request is not a message of the contract.", reason="malformed_message")
    return request


def _admit(headers: Mapping[str, str], keys: list[bytes]) -> None:
    if not keys:
        return
    scheme, _, token = headers.get("authorization", "").partition(" ")
    shown = [token.strip()] if scheme.lower() == "bearer" else []
    shown += [headers[name] for name in _KEY_HEADERS if name in headers]
    if not any(hmac.compare_digest(key, given.encode()) for key in keys for given in shown if given):
        how = "is wrong" if any(shown) else "is missing"
        raise Unauthenticated(
            f"The key of this service {how}: send it as `authorization: Bearer KEY`.",
            reason="invalid_api_key",
        )


async def _fail(context: Context, error: InterferenceError, running: Call) -> None:
    attempts = telling.attempts_header(error.attempts)
    if isinstance(error, DeadlinePassed) and not running.rest:
        await _outwait(context, attempts)
    trailers = failure.trailers(error)
    if running.rest:
        trailers = (*trailers, *attempts)
    await context.abort(error.code, failure.message(error), trailers)


async def _outwait(context: Context, attempts: telling.Headers) -> None:
    """Waits for the deadline of a gRPC call, at which its caller's side ends it and looks at no status.

    What was tried up to then is told in the initial metadata, where none have been sent.
    """
    remaining = context.time_remaining()
    if remaining is None or remaining > 2 * call.MARGIN:
        return
    with suppress(grpc.aio.UsageError, grpc.aio.BaseError, RuntimeError):
        await context.send_initial_metadata(attempts)
    await asyncio.sleep(max(remaining, 0) + call.MARGIN)
