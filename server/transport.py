"""The one HTTP client: sockets, TLS, limits in time and size, and what can go wrong with them.

aiohttp, because it closes the socket as soon as the task that waits on it is cancelled.
"""

import asyncio
import os
import ssl
import types
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

import aiohttp

from server.connections import Connector, is_malformed
from server.errors import AttemptFailed
from server.rows import Limits
from server.sse import EventReader, EventTooLong

_AT_ONCE = 0.1  # seconds in which a kept connection shows that its server had closed it
_LINGER = 1.0  # seconds in which a finished stream may still end its body, to reuse the connection
_ERROR_BYTES = 256 * 1024  # of an answer that is no success; the rest says nothing more
# Read of a stream at once. What has arrived of one that runs ahead of its caller is much more, and each
# copy that is made of it on its way is as large.
_PIECE = 16 * 1024  # bytes
_EVENT_BYTES = 16 * 2**20  # of one server-sent event: a streamed image or sound fits


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as the transport sends it."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer as the transport read it, whole. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Answer:
    """An answer whose body is still to be read."""

    def __init__(self, response: aiohttp.ClientResponse, limit: int) -> None:
        self._response = response
        self._limit = limit
        self.status = response.status

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is server-sent events."""
        return self._response.content_type == "text/event-stream"

    async def read(self) -> HttpAnswer:
        """Reads the body whole."""
        limit = self._limit if self.status == 200 else _ERROR_BYTES
        body = bytearray()
        async with aclosing(self._blocks()) as blocks:
            async for block in blocks:
                body += block
                if len(body) > limit and self.status == 200:
                    raise AttemptFailed("broken_answer", f"answered with more than {limit} bytes")
                if len(body) > limit:
                    break
        headers = {name.lower(): value for name, value in self._response.headers.items()}
        return HttpAnswer(self.status, headers, bytes(body))

    async def events(self) -> AsyncGenerator[list[bytes], None]:
        """Reads the body as server-sent events: the data of those that arrived together, each time."""
        reader = EventReader(_EVENT_BYTES)
        size = 0
        try:
            async with aclosing(self._blocks()) as blocks:
                async for block in blocks:
                    size += len(block)
                    if size > self._limit:
                        raise AttemptFailed("broken_answer", f"streamed more than {self._limit} bytes")
                    for start in range(0, len(block), _PIECE):
                        if arrived := list(reader.feed(block[start : start + _PIECE])):
                            yield arrived
                        else:
                            await asyncio.sleep(0)  # a flood without events keeps nobody else waiting
            if arrived := list(reader.close()):
                yield arrived
        except EventTooLong:
            raise AttemptFailed(
                "broken_answer", f"sent an event of more than {_EVENT_BYTES} bytes"
            ) from None

    async def _blocks(self) -> AsyncGenerator[bytes, None]:
        try:
            async for block in self._response.content.iter_any():
                yield block
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # aiohttp forgets what had arrived when the connection is lost; an answer may be whole by then.
            if left := self._response.content._read_nowait(-1):  # noqa: SLF001
                yield left
            raise _failure(error) from error


@dataclass(slots=True)
class _Kept:
    """Whether a request went over a connection that had served another before."""

    reused: bool = False


async def _note_reuse(_: object, context: types.SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.reused = True


class Transport:
    """Sends requests over kept connections. Redirects are not followed: a key stays where it was sent.

    `max_answer_bytes` bounds an answer, whole or streamed. Made by `connect`.
    """

    def __init__(
        self, pooled: aiohttp.ClientSession, fresh: aiohttp.ClientSession, max_answer_bytes: int
    ) -> None:
        self._pooled = pooled
        self._fresh = fresh
        self._limit = max_answer_bytes
        self._lingering: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self, request: HttpRequest, limits: Limits) -> AsyncIterator[Answer]:
        """Sends a request and gives its answer. `limits.connect` counts; the caller counts the rest.

        Raises `AttemptFailed` with cause `connect_failed`, `connection_lost`, `timed_out` or
        `broken_answer`.
        """
        try:
            response = await self._send(request, limits)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(error) from error
        try:
            yield Answer(response, self._limit)
        except BaseException:
            response.close()
            raise
        self._release(response)

    async def _send(self, request: HttpRequest, limits: Limits) -> aiohttp.ClientResponse:
        """Sends a request; once more, on a new connection, where a kept one turns out to be closed.

        A server may close a connection at the very moment at which it is used again. That shows at once;
        a connection that is lost later may have been lost over the request, which is not sent again then.
        """
        clock = asyncio.get_running_loop().time
        kept, began = _Kept(), clock()
        try:
            return await _ask(self._pooled, request, limits, kept)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if not kept.reused or clock() - began > _AT_ONCE:
                raise
        return await _ask(self._fresh, request, limits, kept)

    async def close(self) -> None:
        """Drops the connections that finished streams still hold."""
        for task in self._lingering:
            task.cancel()
        await asyncio.gather(*self._lingering, return_exceptions=True)

    def _release(self, response: aiohttp.ClientResponse) -> None:
        """Gives the connection back for reuse where the body ends soon, and closes it otherwise."""
        if response.content.is_eof() or response.closed:
            response.release()
            return
        task = asyncio.get_running_loop().create_task(_linger(response))
        self._lingering.add(task)
        task.add_done_callback(self._lingering.discard)
        task.add_done_callback(lambda _: response.close())  # also where it was cancelled before it began


@asynccontextmanager
async def connect(max_answer_bytes: int) -> AsyncIterator[Transport]:
    """A transport with its pool of connections, closed at the end."""
    trust = ssl.create_default_context()  # aiohttp's own is made before SSL_CERT_FILE may be set
    async with (
        _session(Connector(limit=0, ttl_dns_cache=60, ssl=trust)) as pooled,
        _session(Connector(limit=0, force_close=True, ssl=trust)) as fresh,
    ):
        transport = Transport(pooled, fresh, max_answer_bytes)
        try:
            yield transport
        finally:
            await transport.close()


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    reuse = aiohttp.TraceConfig()
    reuse.on_connection_reuseconn.append(_note_reuse)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"user-agent": "interference", "accept-encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None),
        trace_configs=[reuse],
        trust_env=False,
        read_bufsize=_PIECE,
    )


async def _ask(
    session: aiohttp.ClientSession, request: HttpRequest, limits: Limits, kept: _Kept
) -> aiohttp.ClientResponse:
    return await session.request(
        request.method,
        request.url,
        data=request.body or None,
        headers=request.headers,
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=None, connect=limits.connect),
        trace_request_ctx=kept,
    )


async def _linger(response: aiohttp.ClientResponse) -> None:
    with suppress(aiohttp.ClientError, OSError, ValueError):
        async with asyncio.timeout(_LINGER):
            if not await response.content.read(1):
                response.release()


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else "connection refused"


def _failure(error: Exception) -> AttemptFailed:
    """What an exception of the client, the socket or TLS means. The one place that knows them."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return AttemptFailed("timed_out", "no connection within the connect limit")
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return AttemptFailed("timed_out", "no answer in time")
        case aiohttp.ClientConnectorDNSError():
            return AttemptFailed("connect_failed", f"its host {error.host} cannot be resolved")
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or "not trusted"
            return AttemptFailed("connect_failed", f"its TLS certificate was refused: {reason}")
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return AttemptFailed("connect_failed", "TLS could not be agreed on")
        case aiohttp.ClientConnectorError():
            return AttemptFailed(
                "connect_failed",
                f"cannot connect to {error.host}:{error.port}: {_reason(error.os_error)}",
            )
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return AttemptFailed("connection_lost", "the connection was lost before the answer")
        case aiohttp.ClientPayloadError() if is_malformed(error):
            return AttemptFailed("broken_answer", "answered with something that is not valid HTTP")
        case aiohttp.ClientPayloadError():
            return AttemptFailed("connection_lost", "the connection was lost within the answer")
        case aiohttp.InvalidURL():
            return AttemptFailed("connect_failed", "its base_url is not a valid address")
        case _:
            return AttemptFailed("broken_answer", "answered with something that is not valid HTTP")
