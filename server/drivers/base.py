"""What routing asks of a driver, and what a wire dialect must translate to get one for free."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse
from server.rows import Row
from server.transport import HttpAnswer, HttpRequest


@dataclass(frozen=True, slots=True)
class Target:
    """Where one attempt goes: a provider's row, the model by the provider's own name, and its key."""

    row: Row
    model: str
    key: str | None = None

    def __repr__(self) -> str:
        return f"Target({self.row.id!r}, {self.model!r})"


class Driver(Protocol):
    """Answers requests for one kind of provider.

    Raises `AttemptFailed` where the provider cannot answer and `RequestRefused` where it says that
    the request is wrong; nothing else. Being cancelled (or closed, a stream) stops the work at once.
    """

    async def models(self, target: Target) -> list[str]:
        """The provider's list of models, by its own names."""
        ...

    async def complete(self, request: CreateCompletionRequest, target: Target) -> ChatCompletion:
        """Answers whole."""
        ...

    def stream(
        self, request: CreateCompletionRequest, target: Target
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Answers in chunks, each as soon as it is there. Ends without an error even when cut."""
        ...

    async def images(self, request: GenerateImagesRequest, target: Target) -> GenerateImagesResponse:
        """Makes images, each as an address or in base64."""
        ...


class ChunkDecoder(Protocol):
    """Turns the events of one stream into chunks; one instance a stream."""

    done: bool

    def feed(self, events: Sequence[bytes]) -> Iterator[ChatCompletionChunk]:
        """Reads the data of server-sent events that arrived together."""
        ...


class Dialect(Protocol):
    """Translates between the contract and one wire format: bytes in, bytes out, no sockets."""

    def models_request(self, target: Target) -> HttpRequest:
        """Asks for the list of models."""
        ...

    def models(self, answer: HttpAnswer) -> list[str]:
        """Reads the list of models."""
        ...

    def chat_request(
        self, request: CreateCompletionRequest, target: Target, *, stream: bool
    ) -> HttpRequest:
        """Asks for a chat completion."""
        ...

    def completion(self, answer: HttpAnswer, target: Target) -> ChatCompletion:
        """Reads a whole completion."""
        ...

    def decoder(self, request: CreateCompletionRequest, target: Target) -> ChunkDecoder:
        """Reads a streamed completion."""
        ...

    def images_request(self, request: GenerateImagesRequest, target: Target) -> HttpRequest:
        """Asks for images."""
        ...

    def images(self, answer: HttpAnswer, target: Target) -> GenerateImagesResponse:
        """Reads images."""
        ...

    def failure(self, answer: HttpAnswer, target: Target) -> Exception:
        """Reads an answer that is no success: `AttemptFailed` or `RequestRefused`, to be raised."""
        ...
