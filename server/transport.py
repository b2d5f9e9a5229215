"""The one HTTP client: kept connections, TLS, limits in time and size, and what can go wrong with them.

A call that is cancelled closes its connection at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextlib import asynccontextmanager
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import msgspec
from aiohappyeyeballs import start_connection

from server.connections import Connection, ConnectionEnded, Malformed, Origin
from server.errors import AttemptFailed
from server.packing import Unpacker, unpacker
from server.rows import Limits
from server.sse import EventTooLong

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping
    from urllib.parse import SplitResult

    from aiohappyeyeballs import AddrInfoType

    from server.drivers.base import Framing

_AT_ONCE: Final = 0.1  # seconds in which a kept connection shows that its server had closed it
_LINGER: Final = 1.0  # seconds in which a finished stream may still end its body, to reuse the connection
_KEPT: Final = 15.0  # seconds for which a connection is kept without a request
_NAMES_KEPT: Final = 60.0  # seconds for which the addresses of a name are kept
_SECOND_ADDRESS: Final = 0.25  # seconds after which the next address of a host is tried, too (RFC 8305)
_ASKED_BYTES: Final = 64 * 2**20  # of an answer to one who asks once
_ERROR_BYTES: Final = 256 * 1024  # of an answer that is no success; the rest says nothing more
# Read of a stream at once. What has arrived of one that runs ahead of its caller is much more, and each
# copy that is made of it on its way is as large.
_PIECE: Final = 16 * 1024  # bytes
EVENT_BYTES: Final = 16 * 2**20  # of one event of a stream: a streamed image or sound fits
_ONE_WRITE: Final = 64 * 1024  # bytes up to which a body is copied to leave with its headers
_SAFE: Final = "/%:=&?~+!$,;'@()*[]"  # what a path may hold as it is


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """A request as the transport sends it."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class HttpAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer as the transport read it, whole. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Address(NamedTuple):
    """A URL in the words of a request."""

    origin: Origin
    target: str
    headers: str


class Answer:
    """An answer whose body is still to be read."""

    __slots__ = ("_block", "_connection", "_limit", "status")

    def __init__(self, connection: Connection, limit: int) -> None:
        self._connection = connection
        self._limit = limit
        encoding = connection.headers.get("content-encoding")
        packed = None if encoding is None else unpacker(encoding)
        # The next of the body; nothing at its end.
        self._block = connection.block if packed is None else partial(_unpacked, connection, packed)
        self.status = connection.status

    @property
    def media_type(self) -> str:
        """What the body says that it is, in lower case and without parameters."""
        return self._connection.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def read(self) -> HttpAnswer:
        """Reads the body whole."""
        limit = self._limit if self.status == 200 else _ERROR_BYTES
        blocks: list[bytes] = []
        size = 0
        try:
            while block := await self._block():
                blocks.append(block)
                size += len(block)
                if size > limit and self.status == 200:
                    raise AttemptFailed("broken_answer", f"answered with more than {limit} bytes")
                if size > limit:
                    break
        except (ConnectionEnded, Malformed) as error:
            raise _failure(error) from None
        body = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        return HttpAnswer(self.status, self._connection.headers, body)

    async def events(self, reader: Framing) -> AsyncGenerator[list[bytes], None]:
        """Reads the body as events, as `reader` cuts them: those that arrived together, each time."""
        size = 0
        try:
            while block := await self._block():
                size += len(block)
                if size > self._limit:
                    raise AttemptFailed("broken_answer", f"streamed more than {self._limit} bytes")
                for start in range(0, len(block), _PIECE):
                    if arrived := reader.feed(block[start : start + _PIECE]):
                        yield arrived
                    else:
                        await asyncio.sleep(0)  # a flood without events keeps nobody else waiting
            if arrived := list(reader.close()):
                yield arrived
        except EventTooLong:
            raise AttemptFailed(
                "broken_answer", f"sent an event of more than {EVENT_BYTES} bytes"
            ) from None
        except (ConnectionEnded, Malformed) as error:
            raise _failure(error) from None


class _Open:
    """Sends a request on entry; on exit keeps its connection, or closes it where the body was left."""

    __slots__ = ("_connection", "_limits", "_request", "_transport")

    def __init__(self, transport: Transport, request: HttpRequest, limits: Limits) -> None:
        self._transport = transport
        self._request = request
        self._limits = limits
        self._connection: Connection

    async def __aenter__(self) -> Answer:
        self._connection = await self._transport.send(self._request, self._limits)
        try:
            return Answer(self._connection, self._transport.limit)
        except BaseException:
            self._connection.abort()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._connection.abort()
        else:
            self._transport.release(self._connection)


class Transport:
    """Sends requests over kept connections. Redirects are not followed: a key stays where it was sent.

    `limit` bounds an answer in bytes, whole or streamed. Made by `connect`.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time  # the event loop's clock, in seconds
        self._idle: dict[Origin, list[Connection]] = {}
        self._connections: set[Connection] = set()
        self._names: dict[Origin, tuple[float, list[AddrInfoType]]] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] | None = None  # comes when the last connection has

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def open(self, request: HttpRequest, limits: Limits) -> _Open:
        """A context that sends a request and gives its `Answer`. `limits.connect` counts; the caller counts
        the rest.

        Raises `AttemptFailed` with cause `connect_failed`, `connection_lost`, `timed_out` or
        `broken_answer`.
        """
        return _Open(self, request, limits)

    async def send(self, request: HttpRequest, limits: Limits) -> Connection:
        """Sends a request, and waits for the answer's head; once more, on a new connection, where a kept
        one turns out to be closed.

        A server may close a connection at the very moment at which it is used again. That shows at once;
        a connection that is lost later may have been lost over the request, which is not sent again then.
        """
        address = _address(request.url)
        pieces = _written(request, address)
        connection = self._kept(address.origin)
        if connection is not None:
            began = self.now()
            try:
                await connection.ask(*pieces)
                return connection
            except ConnectionEnded as error:
                if connection.heard or self.now() - began > _AT_ONCE:
                    raise _failure(error) from None
            except Malformed as error:
                raise _failure(error) from None
        connection = await self._connected(address.origin, limits.connect)
        try:
            await connection.ask(*pieces)
        except (ConnectionEnded, Malformed) as error:
            raise _failure(error) from None
        return connection

    def release(self, connection: Connection) -> None:
        """Keeps a connection where the answer's body ends soon, and closes it otherwise."""
        if connection.is_reusable:
            self._keep(connection)
        elif connection.whole or not connection.is_open:
            connection.abort()
        else:
            connection.settle(self.release, _LINGER)

    async def close(self) -> None:
        """Closes all connections."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._closed = self._loop.create_future()
        for connection in list(self._connections):
            connection.abort()
        if self._connections:
            await self._closed

    def _kept(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            if (connection := idle.pop()).is_open:
                return connection
        return None

    def _keep(self, connection: Connection) -> None:
        connection.rest(self.now())
        self._idle.setdefault(connection.origin, []).append(connection)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_KEPT, self._sweep)

    def _sweep(self) -> None:
        """Closes the connections that nobody has used for long."""
        self._sweeping = None
        oldest = self.now() - _KEPT
        for idle in self._idle.values():
            for connection in idle:
                if connection.idle_since <= oldest:
                    connection.abort()
        if any(self._idle.values()):
            self._sweeping = self._loop.call_later(_KEPT, self._sweep)

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if self._closed is not None and not self._connections and not self._closed.done():
            self._closed.set_result(None)
        idle = self._idle.get(connection.origin)
        if idle and connection in idle:
            idle.remove(connection)

    async def _connected(self, origin: Origin, limit: float) -> Connection:
        """A new connection. Raises `AttemptFailed`."""
        try:
            async with asyncio.timeout(limit):
                found = await self._addresses(origin)
                return await self._connect(origin, found)
        except TimeoutError:
            raise AttemptFailed("timed_out", "no connection within the connect limit") from None
        except ssl.SSLCertVerificationError as error:
            told = f"its TLS certificate was refused: {error.verify_message or 'not trusted'}"
            raise AttemptFailed("connect_failed", told) from None
        except ssl.SSLError:
            raise AttemptFailed("connect_failed", "TLS could not be agreed on") from None
        except OSError as error:
            told = f"cannot connect to {origin.host}:{origin.port}: {_reason(error)}"
            raise AttemptFailed("connect_failed", told) from None

    async def _connect(self, origin: Origin, addresses: list[AddrInfoType]) -> Connection:
        make = partial(Connection, self._loop, origin, self._forget)
        if origin.path:
            _, connection = await self._loop.create_unix_connection(make, origin.path)
        else:
            sock = await start_connection(
                addresses, happy_eyeballs_delay=_SECOND_ADDRESS, interleave=1, loop=self._loop
            )
            try:
                _, connection = await self._loop.create_connection(
                    make,
                    sock=sock,
                    ssl=self._trust if origin.tls else None,
                    server_hostname=origin.host if origin.tls else None,
                )
            except BaseException:
                sock.close()
                raise
        if connection.is_open:
            self._connections.add(connection)
        return connection

    async def _addresses(self, origin: Origin) -> list[AddrInfoType]:
        """The addresses of a host, looked up once in a while. Raises `AttemptFailed`."""
        if origin.path:
            return []
        until, found = self._names.get(origin, (0.0, []))
        if until > self.now():
            return found
        try:
            infos = await self._loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError):
            raise AttemptFailed("connect_failed", f"its host {origin.host} cannot be resolved") from None
        found = [info for info in infos if info[0] in (socket.AF_INET, socket.AF_INET6)]
        self._names[origin] = self.now() + _NAMES_KEPT, found
        return found


@asynccontextmanager
async def connect(max_answer_bytes: int) -> AsyncIterator[Transport]:
    """A transport with its pool of connections, closed at the end."""
    transport = Transport(max_answer_bytes)
    try:
        yield transport
    finally:
        await transport.close()


async def ask(request: HttpRequest, within: float) -> HttpAnswer:
    """Asks once, over a connection of its own. Raises as `open` does, and `TimeoutError` after so long."""
    async with (
        asyncio.timeout(within),
        connect(_ASKED_BYTES) as client,
        client.open(request, Limits()) as answer,
    ):
        return await answer.read()


async def _unpacked(connection: Connection, packed: Unpacker) -> bytes:
    """The next of a body that is packed; nothing at its end."""
    while True:
        if packed.left:
            await asyncio.sleep(0)  # a little that unpacks to very much keeps nobody else waiting
            unpacked = packed.unpack(packed.left)
        else:
            block = await connection.block()
            unpacked = packed.unpack(block)
            if not block:
                return unpacked
        if unpacked:
            return unpacked


@lru_cache(maxsize=1024)
def _address(url: str) -> _Address:
    """Reads a URL; in `http+unix://` a socket's path stands for the host, with `%2F` for each slash.

    Raises `AttemptFailed` for one that is none.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme == "http+unix":
            origin = Origin("localhost", 0, tls=False, path=unquote(parts.netloc))
            return _Address(origin, _target(parts), "Host: localhost\r\n")
        named = parts.netloc.rpartition("@")[2].encode("idna").decode()
        host, port = urlsplit(f"//{named}").hostname or "", parts.port
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError
    except ValueError:
        raise AttemptFailed("connect_failed", "its base_url is not a valid address") from None
    tls = parts.scheme == "https"
    headers = f"Host: {named}\r\nUser-Agent: interference\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
    return _Address(Origin(host, port or (443 if tls else 80), tls), _target(parts), headers)


def _target(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe=_SAFE)
    return f"{path}?{quote(parts.query, safe=_SAFE)}" if parts.query else path


def _written(request: HttpRequest, address: _Address) -> tuple[bytes, ...]:
    """A request as it is sent. Raises `AttemptFailed` for a header that cannot be sent."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in request.headers.items()])
    if lines.count("\n") != len(request.headers) or lines.count("\r") != len(request.headers):
        raise AttemptFailed("connect_failed", "a header of its requests would hold a line break")
    body = request.body
    length = f"Content-Length: {len(body)}\r\n" if body or request.method != "GET" else ""
    head = f"{request.method} {address.target} HTTP/1.1\r\n{address.headers}{lines}{length}\r\n".encode()
    return (head + body,) if len(body) <= _ONE_WRITE else (head, body)


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else "connection refused"


def _failure(error: ConnectionEnded | Malformed) -> AttemptFailed:
    if isinstance(error, Malformed):
        return AttemptFailed("broken_answer", "answered with something that is not valid HTTP")
    where = "within" if error.answered else "before"
    return AttemptFailed("connection_lost", f"the connection was lost {where} the answer")
