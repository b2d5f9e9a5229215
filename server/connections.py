"""Connections to upstreams that may be hostile: one HTTP/1.1 connection, its parser and what it lets pass.

llhttp reads the answers (https://github.com/MagicStack/httptools); a general client costs a call four times
as much. What came unasked, a flood of interim answers or of bytes that are no content, and faults of the
framing end the connection here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_INTERIM: Final = 200  # answers (1xx) before the one that counts
# Bytes in a row that are no content: headers, trailers, extensions of chunks.
_MOST_SILENT: Final = 64 * 1024
_HIGH_WATER: Final = 64 * 1024  # bytes of a body that wait to be read; more stay with the upstream
_SWITCHING: Final = 101  # the only interim answer that would be the last


class Origin(NamedTuple):
    """Where a connection leads to; `path` is that of a Unix socket, which needs no more."""

    host: str
    port: int
    tls: bool
    path: str = ""


class ConnectionEnded(Exception):  # noqa: N818 - says what happened
    """The connection was lost over a request. `answered`: its answer had begun."""

    def __init__(self, *, answered: bool) -> None:
        super().__init__()
        self.answered = answered


class Malformed(Exception):  # noqa: N818 - says what is wrong
    """What came is not framed as HTTP has it, or is a flood."""


class Connection(asyncio.Protocol):
    """One connection, for one request at a time: `ask`, and `block` until it gives nothing.

    `status` and `headers` (names in lower case) are those of the answer, `whole` says that it has come to
    its end, `heard` that anything has come since the request. `lost` is called with it once it has ended.
    """

    __slots__ = (
        "_blocks",
        "_error",
        "_held",
        "_interim",
        "_keep_alive",
        "_loop",
        "_lost",
        "_parser",
        "_paused",
        "_pending",
        "_settling",
        "_silent",
        "_transport",
        "_unasked",
        "_waiter",
        "headers",
        "heard",
        "idle_since",
        "origin",
        "status",
        "whole",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, origin: Origin, lost: Callable[[Connection], None]
    ) -> None:
        self._loop = loop
        self.origin = origin
        self._lost = lost
        self._transport: asyncio.Transport
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        # As browsers and other clients do: servers are not all careful.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._waiter: asyncio.Future[None] | None = None
        self._settling: tuple[Callable[[Connection], None], asyncio.TimerHandle] | None = None
        self._blocks: list[bytes] = []
        self._held = 0  # bytes in them
        self._paused = self._pending = self._keep_alive = self._unasked = False
        self._error: Exception | None = None
        self._interim = self._silent = 0
        self.heard = self.whole = False
        self.idle_since = 0.0
        self.status = 0
        self.headers: dict[str, str] = {}

    # --- The request -------------------------------------------------------------------------------

    async def ask(self, *pieces: bytes) -> None:
        """Sends a request, and waits for `status` and `headers`. Raises `ConnectionEnded` or `Malformed`.
        Where it raises or is cancelled, the connection is closed.
        """
        try:
            self._send(pieces)
            while not self.status:
                if self._error is not None:
                    raise self._error
                await self._news()
        except BaseException:
            self.abort()
            raise

    def _send(self, pieces: tuple[bytes, ...]) -> None:
        self._pending = True
        self.heard = self.whole = False
        self.status = self._interim = self._silent = 0
        self.headers = {}
        if self._parser is None:
            self._error = ConnectionEnded(answered=False)
        elif len(pieces) == 1:
            self._transport.write(pieces[0])
        else:
            self._transport.writelines(pieces)

    async def block(self) -> bytes:
        """The next bytes of the body, as many as have come; none at its end. Raises as `ask` does."""
        while not self._blocks:
            if self.whole:
                return b""
            if self._error is not None:
                raise self._error
            await self._news()
        taken = self._blocks[0] if len(self._blocks) == 1 else b"".join(self._blocks)
        self._blocks.clear()
        self._held = 0
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return taken

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent over it."""
        return not self._transport.is_closing() and not self._unasked

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow the one whose answer is whole."""
        sent = not self._transport.get_write_buffer_size()
        return self.whole and self._keep_alive and sent and not self._blocks and self.is_open

    def settle(self, after: Callable[[Connection], None], within: float) -> None:
        """Calls `after` when the answer has come to its end, within so many seconds. No more of it is
        wanted: more of it, and more time, close the connection.
        """
        if self._blocks:
            self.abort()
        else:
            self._settling = after, self._loop.call_later(within, self.abort)

    def rest(self, now: float) -> None:
        """No request is there for a while."""
        self._pending = False
        self.idle_since = now

    def abort(self) -> None:
        """Closes it at once."""
        self._transport.abort()

    def _news(self) -> asyncio.Future[None]:
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- What comes --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if not self._pending or self._parser is None:
            self._unasked = True
            self.abort()
            return
        self.heard = True
        self._silent += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._malformed()
        if self._silent > _MOST_SILENT or self._interim > _MOST_INTERIM:
            self._malformed()
        if self._held > _HIGH_WATER and not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()
        if self.whole and self._settling is not None:
            after, timer = self._settling
            self._settling = None
            timer.cancel()
            after(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It has ended: with the body, where nothing else says how long that is."""
        self._parser = None  # which refers to this
        if self._pending and not self.whole and self._error is None:
            if self.status and self._ends_with_connection():
                self.whole = True
            else:
                self._error = ConnectionEnded(answered=bool(self.status))
        if self._settling is not None:
            self._settling[1].cancel()
        self._wake()
        self._lost(self)

    def _ends_with_connection(self) -> bool:
        return not ("content-length" in self.headers or "transfer-encoding" in self.headers)

    def _malformed(self) -> None:
        """Ends it. What follows an answer that is whole harms nobody but the next."""
        self._unasked = True
        if not self.whole and self._error is None:
            self._error = Malformed()
        self.abort()
        self._wake()

    # --- What the parser finds ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins; none was asked for behind one that is whole."""
        self._unasked = self.whole

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the answer, or behind its body: there they say nothing that is wanted."""
        if b"\0" in value:
            raise HttpParserError
        if not self.status:
            self.headers[name.decode("latin-1").lower()] = value.decode("utf-8", "surrogateescape")

    def on_headers_complete(self) -> None:
        """The headers have come, or those of an interim answer."""
        if self._unasked:
            return
        status: int = self._parser.get_status_code()  # type: ignore[union-attr]  # it is what calls
        if status < 200 and status != _SWITCHING:
            self._interim += 1
            self.headers = {}
            return
        self.status = status
        self._wake()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._silent = 0
        if self._settling is not None or self._unasked:
            self.abort()
            return
        self._blocks.append(body)
        self._held += len(body)
        self._wake()

    def on_message_complete(self) -> None:
        """The answer is whole, or an interim one."""
        if not self.status or self._unasked:
            return
        self.whole = True
        self._keep_alive = self._parser.should_keep_alive()  # type: ignore[union-attr]  # the same
        self._wake()
