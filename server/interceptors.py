"""What stands around every call of ours: the caller's key is checked, and errors become statuses."""

from __future__ import annotations

import asyncio
import hmac
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from server.errors import InvalidRequest, Unauthenticated
from server.services import call, failure

_OURS = "/interference.v1."
_OPEN = frozenset({"/interference.v1.Images/GetMedia"})  # its names are secrets themselves
_KEY_HEADERS = ("g4f-api-key", "x-api-key")

if TYPE_CHECKING:  # generic in the stubs alone
    from collections.abc import AsyncIterator, Awaitable, Callable

    from server.services.call import Context

    Handler = grpc.RpcMethodHandler[Any, Any]


class Edge(grpc.aio.ServerInterceptor):
    """Wraps each handler of ours once. `keys` are those that callers may show; none: no key is asked."""

    def __init__(self, keys: frozenset[str]) -> None:
        self._keys = [key.encode() for key in keys]
        self._wrapped: dict[str, Handler] = {}
        self._running: set[asyncio.Task[Any] | None] = set()

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
        self._wrapped[method] = wrapped = self._wrap(handler, [] if method in _OPEN else self._keys)
        return wrapped

    def end_calls(self) -> None:
        """Ends the running calls with an error that says why, which being cut off would not."""
        for task in self._running:
            if task is not None:
                task.cancel(call.ENDING)

    def _wrap(self, handler: Handler, keys: list[bytes]) -> Handler:
        read = _reader(handler.request_deserializer)
        write = handler.response_serializer
        if handler.response_streaming:
            streamed = self._stream(handler.unary_stream, keys)
            return grpc.unary_stream_rpc_method_handler(streamed, read, write)
        return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, keys), read, write)

    def _unary(self, behaviour: Any, keys: list[bytes]) -> Callable[[Any, Context], Awaitable[Any]]:
        async def unary(request: Any, context: Context) -> Any:
            task = asyncio.current_task()
            self._running.add(task)
            try:
                _admit(context, keys)
                with call.ending():
                    return await behaviour(_readable(request), context)
            except Exception as error:
                await _fail(context, error)
            finally:
                self._running.discard(task)

        return unary

    def _stream(self, behaviour: Any, keys: list[bytes]) -> Callable[[Any, Context], AsyncIterator[Any]]:
        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            task = asyncio.current_task()
            self._running.add(task)
            try:
                _admit(context, keys)
                async with aclosing(behaviour(_readable(request), context)) as messages:
                    async for message in messages:
                        yield message
            except Exception as error:
                await _fail(context, error)
            finally:
                self._running.discard(task)

        return stream


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


def _admit(context: Context, keys: list[bytes]) -> None:
    if not keys:
        return
    headers = call.metadata(context)
    scheme, _, token = headers.get("authorization", "").partition(" ")
    shown = [token.strip()] if scheme.lower() == "bearer" else []
    shown += [headers[name] for name in _KEY_HEADERS if name in headers]
    if not any(hmac.compare_digest(key, given.encode()) for key in keys for given in shown if given):
        how = "is wrong" if any(shown) else "is missing"
        raise Unauthenticated(
            f"The key of this service {how}: send it as `authorization: Bearer KEY`.",
            reason="invalid_api_key",
        )


async def _fail(context: Context, error: Exception) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    told = failure.as_interference(error)
    await context.abort(told.code, failure.message(told), failure.trailers(told))
