"""What routing asks of a driver, and what a wire dialect must translate to get one for free."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import msgspec

from server.operations import Answer, Chunk, Request, StreamRequest
from server.rows import Limits, Row
from server.transport import HttpAnswer, HttpRequest

_LIMITS = Limits()
NOTHING: Mapping[str, str] = MappingProxyType({})


class Target(msgspec.Struct, frozen=True, gc=False):
    """Where one attempt goes: a provider's row, the model by the provider's own name, and its key.

    `limits` are those of the attempt, `deadline` is the caller's, on the event loop's clock. `carried` are
    headers of the caller's, in lower case, for a provider that is a server like this one.
    """

    row: Row
    model: str
    key: str | None = None
    limits: Limits = _LIMITS
    deadline: float | None = None
    carried: Mapping[str, str] = NOTHING

    def __repr__(self) -> str:
        return f"Target({self.row.id!r}, {self.model!r})"


class Listed(msgspec.Struct, frozen=True, gc=False):
    """A model as a provider lists it, by the provider's own name.

    `capabilities` and `lacks` are words for what it can and cannot do (see `server.capabilities`), where
    the list tells: of a word in neither the row decides. Where a word for an operation is among the
    capabilities, the model does those and no other. `context_length` is in tokens.
    """

    name: str
    capabilities: frozenset[str] | None = None
    lacks: frozenset[str] = frozenset()
    context_length: int | None = None


class Driver(Protocol):
    """Answers requests for one kind of provider.

    Raises `AttemptFailed` where the provider cannot answer (an operation that it does not have counts as
    `no_such_model`) and `RequestRefused` where it says that the request is wrong; nothing else. Being
    cancelled (or closed, a stream) stops the work at once.
    """

    async def models(self, target: Target) -> list[Listed]:
        """The provider's list of models."""
        ...

    async def answer(self, request: Request, target: Target) -> Answer:
        """Answers whole, with the message that belongs to the request."""
        ...

    def stream(self, request: StreamRequest, target: Target) -> AsyncGenerator[Chunk, None]:
        """Answers in chunks, each as soon as it is there. Ends without an error even when cut."""
        ...

    async def close(self) -> None:
        """Lets go of what is held between requests. No request follows."""
        ...


class Translator(Protocol):
    """Translates one operation between the contract and a wire format: bytes in, bytes out, no sockets."""

    def request(self, request: Any, target: Target, *, stream: bool) -> HttpRequest:
        """Asks for an answer."""
        ...

    def answer(self, answer: HttpAnswer, request: Any, target: Target) -> Answer:
        """Reads a whole answer."""
        ...


class ChunkDecoder(Protocol):
    """Turns the events of one stream into chunks; one instance a stream."""

    done: bool

    def feed(self, events: Sequence[bytes]) -> Iterator[Chunk]:
        """Reads events that arrived together; of server-sent ones their data."""
        ...

    def end(self) -> Iterator[Chunk]:
        """Takes the end of the stream: the chunk with the usage, where it was asked for and told."""
        ...


class StreamTranslator(Translator, Protocol):
    """A translator of answers that may be streamed."""

    def decoder(self, request: Any, target: Target) -> ChunkDecoder:
        """Reads a streamed answer."""
        ...


class Framing(Protocol):
    """Cuts the bytes of one stream into events.

    `media_type` is what an answer says that it is where it is framed so. Raises `server.sse.EventTooLong`.
    """

    media_type: ClassVar[str]

    def feed(self, block: bytes) -> list[bytes]:
        """Takes the next bytes; gives the events that they complete."""
        ...

    def close(self) -> Iterator[bytes]:
        """Takes the end of the stream."""
        ...


class Dialect(Protocol):
    """One wire format: a translator for each operation that it has, by the type of the request."""

    translators: Mapping[type[Request], Translator]
    streams: Mapping[type[StreamRequest], StreamTranslator]

    def framing(self, limit: int) -> Framing:
        """What cuts a stream into events of at most so many bytes."""
        ...

    def models_request(self, target: Target) -> HttpRequest:
        """Asks for the list of models."""
        ...

    def models(self, answer: HttpAnswer) -> list[Listed]:
        """Reads the list of models."""
        ...

    def failure(self, answer: HttpAnswer, target: Target) -> Exception:
        """Reads an answer that is no success: `AttemptFailed` or `RequestRefused`, to be raised."""
        ...
