"""Asks providers that speak our own contract: what is asked and what is answered passes as it is."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextCompletion
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse
from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse
from interference.v1.models_pb2 import ListModelsRequest, ListModelsResponse, Model
from server import operations
from server.capabilities import CHAT_WORDS, STREAM, VISION
from server.drivers.base import Listed, Target
from server.drivers.remote import asking, channels, faults, reading
from server.drivers.remote.channels import Channels
from server.drivers.remote.stream import ChunkReader
from server.errors import AttemptFailed
from server.operations import IMAGES, Answer, Chunk, Request, StreamRequest

_LIST: Final = "/interference.v1.Models/ListModels"
_NEAR: Final = 0.1  # seconds before the deadline in which a provider may say that it is over
_HEADER: Final = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class _Methods:
    """How an operation is called: whole, and where it is streamed, in chunks."""

    whole: str
    answer: type[Answer]
    stream: str = ""
    chunk: type[Chunk] = ChatCompletionChunk


_METHODS: Final[Mapping[type[Request], _Methods]] = {
    CreateCompletionRequest: _Methods(
        "/interference.v1.Chat/CreateCompletion", ChatCompletion, "/interference.v1.Chat/StreamCompletion"
    ),
    CreateTextCompletionRequest: _Methods(
        "/interference.v1.Completions/CreateTextCompletion",
        TextCompletion,
        "/interference.v1.Completions/StreamTextCompletion",
        TextCompletion,
    ),
    CreateEmbeddingsRequest: _Methods(
        "/interference.v1.Embeddings/CreateEmbeddings", CreateEmbeddingsResponse
    ),
    GenerateImagesRequest: _Methods("/interference.v1.Images/GenerateImages", GenerateImagesResponse),
}


class RemoteDriver:
    """Answers with what a provider answers that speaks `interference.v1`, of at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._channels = Channels(limit)

    async def close(self) -> None:
        """Closes the channels."""
        await self._channels.close()

    async def models(self, target: Target) -> list[Listed]:
        """The provider's list of models; none where it is there and has no list."""
        try:
            data = await self._fetch(
                _LIST, ListModelsRequest().SerializeToString(), target, "list of model"
            )
        except AttemptFailed as error:
            if error.cause == "no_such_model":  # it has no such service
                return []
            raise
        return [_listed(model) for model in reading.parsed(ListModelsResponse, data).data if model.id]

    async def answer(self, request: Request, target: Target) -> Answer:
        """Answers whole."""
        methods = _METHODS[type(request)]
        asked = asking.request(request, target, stream=False).SerializeToString()
        data = await self._fetch(methods.whole, asked, target, operations.of(request).noun)
        return reading.whole(methods.answer, data, request, target)

    async def stream(self, request: StreamRequest, target: Target) -> AsyncGenerator[Chunk, None]:
        """Answers in chunks."""
        methods = _METHODS[type(request)]
        asked = asking.request(request, target, stream=True).SerializeToString()
        include_usage = request.stream_options.include_usage
        reader = ChunkReader(methods.chunk, target, include_usage=include_usage)
        size = 0
        async for data in self._read(methods.stream, asked, target, operations.of(request).noun):
            size += len(data)
            if size > self._limit:
                raise AttemptFailed("broken_answer", f"streamed more than {self._limit} bytes")
            for chunk in reader.feed(data):
                yield chunk
        for chunk in reader.end():
            yield chunk

    async def _fetch(self, method: str, asked: bytes, target: Target, noun: str) -> bytes:
        async with self._calling("unary_unary", method, asked, target, noun) as call:
            data: bytes = await call
            return data

    async def _read(
        self, method: str, asked: bytes, target: Target, noun: str
    ) -> AsyncGenerator[bytes, None]:
        async with self._calling("unary_stream", method, asked, target, noun) as call:
            while (data := await call.read()) is not grpc.aio.EOF:
                yield data

    @asynccontextmanager
    async def _calling(
        self, kind: str, method: str, asked: bytes, target: Target, noun: str
    ) -> AsyncIterator[Any]:
        """A call that is cancelled at the end, whatever that is. Raises what its error means."""
        channel, connected = await self._connected(target)
        call: Any = None
        try:
            call = getattr(channel, kind)(method)(
                asked, timeout=_timeout(target), metadata=_metadata(target)
            )
            yield call
        except grpc.aio.AioRpcError as error:
            raise await _failure(error, channel, target, noun, connected=connected) from None
        except grpc.aio.BaseError:
            raise _closed() from None
        finally:
            if call is not None:
                call.cancel()

    async def _connected(self, target: Target) -> tuple[Any, bool]:
        """The channel to a provider, for bytes, and whether it is connected: where it is not, a call says
        why.
        """
        channel = self._channels.of(target.row)
        return channel, await channels.connected(channel, target.limits.connect)


async def _failure(
    error: grpc.aio.AioRpcError, channel: grpc.aio.Channel, target: Target, noun: str, *, connected: bool
) -> Exception:
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and target.deadline is not None:
        left = target.deadline - asyncio.get_running_loop().time()
        if left < _NEAR:  # the call's own end, which routing tells of: it ends this wait
            await asyncio.sleep(max(left, 0) + _NEAR)
    if not connected and error.code() is grpc.StatusCode.UNAVAILABLE:
        return faults.unconnected(error, target)
    return faults.read(error, target, noun, connects=channels.is_connected(channel))


def _closed() -> AttemptFailed:
    return AttemptFailed("connection_lost", "its channel was closed")


def _timeout(target: Target) -> float | None:
    """Seconds until the caller's deadline."""
    if target.deadline is None:
        return None
    return max(target.deadline - asyncio.get_running_loop().time(), 0.001)


def _metadata(target: Target) -> tuple[tuple[str, str], ...]:
    """The key, and what is carried on. Raises `AttemptFailed` for a key that no header can hold."""
    found = tuple((name, value) for name, value in target.carried.items() if _HEADER.fullmatch(value))
    if not target.key:
        return found
    if not _HEADER.fullmatch(target.key):
        raise AttemptFailed("connect_failed", "a header of its requests would hold more than plain ASCII")
    return (("authorization", f"Bearer {target.key}"), *found)


def _listed(model: Model) -> Listed:
    """A model of the list; what it tells of capabilities is all that there is of them."""
    words = set(model.capabilities)
    if not words:
        words = {word for word, is_so in ((IMAGES.name, model.image), (VISION, model.vision)) if is_so}
        return Listed(model.id, frozenset(words) or None, context_length=_length(model))
    lacks = frozenset(CHAT_WORDS) - words - {STREAM, VISION}  # of vision, to be silent is not to say no
    return Listed(model.id, frozenset(words), lacks, _length(model))


def _length(model: Model) -> int | None:
    return model.context_length if model.HasField("context_length") else None
