"""What the supervisor and a worker say to each other over the worker's control socket: lines of JSON.

The supervisor begins with an `Order`, and the worker answers with `Ready` when it serves, or with why it
cannot. After that each says what it has to say when it has to, until the socket ends.
"""

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TypeVar

import msgspec

from server.config import Settings
from server.routes import Catalog
from server.routing.circuit import MOST, Change

T = TypeVar("T")

MAX_ORDER = 16 * 2**20  # bytes of a line; an order holds the whole catalog
MAX_LINE = 2**20  # bytes of what a worker says
# The service of the health protocol that Envoy asks about, so that it can leave a worker before others do.
EDGE = "interference.edge"

_log = logging.getLogger("interference")


def new_name() -> str:
    """A name for a server, which no other has."""
    return f"interference-{secrets.token_hex(8)}"


class Order(msgspec.Struct, frozen=True):
    """What to serve, and where."""

    settings: Settings
    catalog: Catalog
    port: int  # 0: a free one
    socket: str = ""  # path of a Unix socket to serve on as well, for Envoy
    joins: bool = False  # whether the port may be that of a worker whose place is taken
    server: str = msgspec.field(default_factory=new_name)  # what others know it by, all workers the same


class Ready(msgspec.Struct, frozen=True):
    """The port served, or why it cannot be."""

    port: int = 0
    error: str = ""


class Changed(msgspec.Struct, frozen=True, tag="changed"):
    """A circuit has changed. The supervisor counts the changes that it passes on; a worker gives the count
    of the last that it has heard of, so that the supervisor knows what the worker did not know.
    """

    change: Change
    count: int = 0


class MayProbe(msgspec.Struct, frozen=True, tag="may_probe"):
    """A worker asks whether it is the one that finds out."""

    number: int
    change: Change


class Probe(msgspec.Struct, frozen=True, tag="probe"):
    """The answer to that."""

    number: int
    granted: bool


class Leave(msgspec.Struct, frozen=True, tag="leave"):
    """Another worker has taken this one's place: it is to end when its calls have."""


FromWorker = Changed | MayProbe
ToWorker = Changed | Probe | Leave


def line(message: msgspec.Struct) -> bytes:
    """A message as it is sent."""
    return msgspec.json.encode(message) + b"\n"


class Outbox:
    """What is to be said to the other side. Nobody waits for it: of what it has not taken yet the last word
    on each key is kept, and the oldest go where there are too many.
    """

    def __init__(self) -> None:
        self._pending: OrderedDict[Hashable, msgspec.Struct] = OrderedDict()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        """How much waits."""
        return len(self._pending)

    def put(self, key: Hashable, message: msgspec.Struct) -> None:
        """Says something, in place of what was last said of the key where that has not gone yet."""
        self._pending[key] = message
        self._pending.move_to_end(key)
        make_room(self._pending)
        self._filled.set()

    def pop(self) -> msgspec.Struct:
        """Takes out what waits the longest."""
        return self._pending.popitem(last=False)[1]

    async def run(self, writer: asyncio.StreamWriter) -> None:
        """Sends, as fast as the other side reads, until the socket ends."""
        with suppress(ConnectionError):
            while not writer.is_closing():
                await self._filled.wait()
                self._filled.clear()
                while self._pending:
                    writer.write(line(self.pop()))
                    await writer.drain()


def make_room(kept: OrderedDict[Hashable, T]) -> None:
    """Drops the oldest of what is kept, where that is too much."""
    while len(kept) > MOST:
        kept.popitem(last=False)


async def listen(
    reader: asyncio.StreamReader, decoder: msgspec.json.Decoder[T], take: Callable[[T], None], name: str
) -> None:
    """Takes each message until the socket ends. What is none is logged, and passed over."""
    while True:
        try:
            text = await reader.readline()
            if not text.endswith(b"\n"):
                return
            message = decoder.decode(text)
        except ConnectionError:
            return
        except ValueError:  # longer than the reader's limit, or no message of this kind
            _log.warning("%s said something that is not understood", name)
            continue
        try:
            take(message)
        except Exception:  # whatever it is, it must not end the listening
            _log.exception("a defect in taking what %s said", name)
