"""What stands around every call of ours: the caller's key is checked, and errors become statuses."""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from server.errors import Defect, InterferenceError, InvalidRequest, Unauthenticated
from server.services import call, failure

_log = logging.getLogger(__name__)
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
        self._wrapped[method] = wrapped = self._wrap(handler, is_open=method in _OPEN)
        return wrapped

    def _wrap(self, handler: Handler, *, is_open: bool) -> Handler:
        keys = [] if is_open else self._keys
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                _stream(handler.unary_stream, keys),
                request_deserializer=_reader(handler.request_deserializer),
                response_serializer=handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            _unary(handler.unary_unary, keys),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _reader(deserialize: Any) -> Callable[[bytes], Any]:
    """A deserializer that gives its error, for the handler to raise: grpc makes UNKNOWN of one raised here."""

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


def _unary(behaviour: Any, keys: list[bytes]) -> Callable[[Any, Context], Awaitable[Any]]:
    async def unary(request: Any, context: Context) -> Any:
        try:
            _admit(context, keys)
            return await behaviour(_readable(request), context)
        except Exception as error:
            await _fail(context, error)

    return unary


def _stream(behaviour: Any, keys: list[bytes]) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            _admit(context, keys)
            async for message in behaviour(_readable(request), context):
                yield message
        except Exception as error:
            await _fail(context, error)

    return stream


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
    if not isinstance(error, InterferenceError):
        _log.exception("a defect", exc_info=error)
        error = Defect("A defect of the server; its log has the rest.")
    await context.abort(error.code, error.message[:600], failure.trailers(error))
