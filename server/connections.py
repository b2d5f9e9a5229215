"""Connections to upstreams that may be hostile: what aiohttp's own let pass ends them here.

aiohttp looks for answers that nobody asked for only when a connection is given back, so that one that comes
later would be the next request's; it reads interim answers that arrive together without a pause, however
many there are; and it keeps a fault of the framing from whoever reads the body.
"""

import functools
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError

_MOST_INTERIM = 200  # answers (1xx) before the one that counts


class BrokenFramingError(aiohttp.ClientPayloadError):
    """The body is not framed as HTTP has it."""


class Connection(ResponseHandler):
    """One connection. What was said over it unasked makes it one that is not used again."""

    _interim = 0

    def is_connected(self) -> bool:
        """Whether a request may be sent over it."""
        return super().is_connected() and not self._buffer and not self._tail

    def set_response_params(self, **given: Any) -> None:
        """A request is sent."""
        self._interim = 0
        super().set_response_params(**given)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """An answer has come, or an interim one."""
        status = data[0].code
        self._interim += 100 <= status < 200 and status != 101
        if self._interim <= _MOST_INTERIM:
            super().feed_data(data, size)
            return
        self._buffer.clear()
        if self.transport is not None:
            self.transport.abort()
        self.set_exception(HttpProcessingError(message="too many interim answers"))

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Something is wrong with what came."""
        body = self._payload
        super().set_exception(exc, *cause)
        if isinstance(exc, HttpProcessingError) and body is not None and not body.is_eof():
            body.set_exception(BrokenFramingError(), exc)


class Connector(aiohttp.TCPConnector):
    """Makes such connections."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._factory: Any = functools.partial(Connection, loop=self._loop)


def is_malformed(error: aiohttp.ClientPayloadError) -> bool:
    """Whether a body broke off because of what it held, and not because the connection was lost."""
    return isinstance(error, BrokenFramingError) or isinstance(error.__cause__, ContentEncodingError)
