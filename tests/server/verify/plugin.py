"""A plug-in that keeps to the contract, and breaks it in the one way that a test wants."""

# ruff: noqa: ARG002, N802 - methods and their arguments are the contract's

import asyncio
import base64
import io
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import grpc
import grpc.aio
from PIL import Image as Pillow

from interference.v1 import (
    chat_pb2_grpc,
    completions_pb2_grpc,
    embeddings_pb2_grpc,
    images_pb2_grpc,
    models_pb2_grpc,
)
from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import (
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
)
from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextChoice, TextCompletion
from interference.v1.embeddings_pb2 import (
    CreateEmbeddingsRequest,
    CreateEmbeddingsResponse,
    Embedding,
    EmbeddingsUsage,
)
from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse, GetMediaRequest, Image
from interference.v1.models_pb2 import GetModelRequest, ListModelsRequest, ListModelsResponse, Model
from interference.v1.tool_pb2 import FunctionCall, ToolCall
from interference.v1.usage_pb2 import Usage

A = TypeVar("A")
Code = grpc.StatusCode
CREATED = 1_795_000_000
LONG = 200  # words, from which on a stream takes its time
PARTS = 3  # of a tool call's arguments
MODELS = {"m": "chat", "t": "text_completions", "e": "embeddings", "i": "images"}


async def nothing(request: Any, context: Any) -> None:
    """Does what a right plug-in does before it answers."""


@dataclass(frozen=True)
class Flaw:
    """How a plug-in is wrong; by default in nothing. Each is given the request.

    `refuse` gives a status to end with, `accept` says whether what is wrong is answered all the same,
    `change` changes a whole answer, `stream` gives the chunks to send in place of the right ones, `before`
    does what it likes with the call. `left` is told that a caller has gone, and how much time was left.
    """

    refuse: Callable[[Any, bool], grpc.StatusCode | None] = lambda _, __: None
    accept: Callable[[Any, bool], bool] = lambda _, __: False
    change: Callable[[Any, Any], None] = lambda _, __: None
    stream: Callable[[list[Any], Any], list[Any]] = lambda chunks, _: chunks
    before: Callable[[Any, Any], Any] = nothing
    left: Callable[[float], None] = lambda _: None


class Plugin(
    chat_pb2_grpc.ChatServicer,
    completions_pb2_grpc.CompletionsServicer,
    embeddings_pb2_grpc.EmbeddingsServicer,
    images_pb2_grpc.ImagesServicer,
    models_pb2_grpc.ModelsServicer,
):
    """All services. A token is a word."""

    def __init__(self, flaw: Flaw) -> None:
        self._flaw = flaw

    async def CreateCompletion(self, request: CreateCompletionRequest, context: Any) -> ChatCompletion:
        await asyncio.sleep(0.005)
        return await self._whole(chat, request, context)

    async def StreamCompletion(
        self, request: CreateCompletionRequest, context: Any
    ) -> AsyncIterator[ChatCompletionChunk]:
        await self._admit(request, context, stream=True)
        right = chunks(chat(request), request)
        try:
            for chunk in self._flaw.stream(right, request):
                yield chunk
                await asyncio.sleep(0.01 if len(right) > LONG else 0)
        except asyncio.CancelledError:
            self._flaw.left(context.time_remaining())
            raise

    async def CreateTextCompletion(
        self, request: CreateTextCompletionRequest, context: Any
    ) -> TextCompletion:
        return await self._whole(text, request, context)

    async def StreamTextCompletion(
        self, request: CreateTextCompletionRequest, context: Any
    ) -> AsyncIterator[TextCompletion]:
        await self._admit(request, context, stream=True)
        for chunk in self._flaw.stream(text_chunks(text(request)), request):
            yield chunk

    async def CreateEmbeddings(
        self, request: CreateEmbeddingsRequest, context: Any
    ) -> CreateEmbeddingsResponse:
        return await self._whole(embeddings, request, context)

    async def GenerateImages(self, request: GenerateImagesRequest, context: Any) -> GenerateImagesResponse:
        return await self._whole(images, request, context)

    async def ListModels(self, request: ListModelsRequest, context: Any) -> ListModelsResponse:
        models = [Model(id=name, object="model", capabilities=[word]) for name, word in MODELS.items()]
        answer = ListModelsResponse(object="list", data=models)
        self._flaw.change(answer, request)
        return answer

    async def GetMedia(self, request: GetMediaRequest, context: Any) -> Any:
        return await context.abort(Code.UNIMPLEMENTED, "keeps no images")

    async def GetModel(self, request: GetModelRequest, context: Any) -> Any:
        return await context.abort(Code.UNIMPLEMENTED, "lists all of them")

    async def _whole(self, make: Callable[[Any], A], request: Any, context: Any) -> A:
        await self._admit(request, context, stream=False)
        answer = make(request)
        self._flaw.change(answer, request)
        return answer

    async def _admit(self, request: Any, context: Any, *, stream: bool) -> None:
        await self._flaw.before(request, context)
        if (code := self._flaw.refuse(request, stream)) is not None:
            await context.abort(code, "as the test wants it")
        code, why = fault(request)
        if code is not None and not self._flaw.accept(request, stream):
            await context.abort(code, why)


def fault(request: Any) -> tuple[grpc.StatusCode | None, str]:
    """What is wrong with a request."""
    if (isinstance(request, GenerateImagesRequest) and not request.prompt) or (
        isinstance(request, CreateEmbeddingsRequest) and not request.input
    ):
        return Code.INVALID_ARGUMENT, "nothing to do"
    if isinstance(request, CreateTextCompletionRequest) and not request.prompt:
        return Code.INVALID_ARGUMENT, "prompt is required"
    if isinstance(request, CreateCompletionRequest):
        if not request.messages or not all(message.role for message in request.messages):
            return Code.INVALID_ARGUMENT, "messages, each with a role, are required"
        if has_image(request):
            return Code.INVALID_ARGUMENT, "this model reads no images"
    known = request.model in MODELS or (isinstance(request, GenerateImagesRequest) and not request.model)
    return (None, "") if known else (Code.NOT_FOUND, f"no model {request.model}")


def has_image(request: CreateCompletionRequest) -> bool:
    """Whether there is an image in the conversation."""
    return any(part.HasField("image_url") for message in request.messages for part in message.content)


def said(request: CreateCompletionRequest) -> str:
    """The last message's text."""
    return "".join(part.text for part in request.messages[-1].content) if request.messages else ""


def chat(request: CreateCompletionRequest) -> ChatCompletion:
    """The right answer: the last message once more, or the call of the tool."""
    words = said(request).split(" ")
    for stop in request.stop:
        words = words[: words.index(stop)] if stop in words else words
    limit = request.max_tokens or len(words)
    told = AnswerMessage(role="assistant", content=" ".join(words[:limit]) or "-")
    reason = "length" if limit < len(words) else "stop"
    if request.tools and request.messages[-1].role == "user":
        call = FunctionCall(name=request.tools[0].function.name, arguments='{"city": "Paris"}')
        told = AnswerMessage(
            role="assistant", tool_calls=[ToolCall(id="call_1", type="function", function=call)]
        )
        reason = "tool_calls"
    n = request.n or 1
    return ChatCompletion(
        id=uuid4().hex,
        object="chat.completion",
        created=CREATED,
        model="m-1",
        choices=[Choice(index=index, message=told, finish_reason=reason) for index in range(n)],
        usage=usage(len(words), min(limit, len(words)) * n),
    )


def usage(prompt: int, completion: int) -> Usage:
    """Counts with their sum."""
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def chunks(whole: ChatCompletion, request: CreateCompletionRequest) -> list[ChatCompletionChunk]:
    """A whole answer in pieces."""

    def chunk(*choices: ChunkChoice, usage: Usage | None = None) -> ChatCompletionChunk:
        named = {
            "id": whole.id,
            "object": "chat.completion.chunk",
            "created": whole.created,
            "model": whole.model,
        }
        return ChatCompletionChunk(**named, choices=choices, usage=usage)  # type: ignore[arg-type]

    out = []
    for choice in whole.choices:
        deltas = [AnswerMessage(role="assistant", content=""), *pieces(choice.message)]
        out += [chunk(ChunkChoice(index=choice.index, delta=delta)) for delta in deltas]
        out.append(chunk(ChunkChoice(index=choice.index, finish_reason=choice.finish_reason)))
    return [*out, chunk(usage=whole.usage)] if request.stream_options.include_usage else out


def pieces(message: AnswerMessage) -> list[AnswerMessage]:
    """A message as deltas: word by word, arguments in parts."""
    words = message.content.split(" ")
    deltas = [
        AnswerMessage(content=f" {word}" if number else word) for number, word in enumerate(words) if word
    ]
    for index, call in enumerate(message.tool_calls):
        name = FunctionCall(name=call.function.name)
        first = ToolCall(index=index, id=call.id, type="function", function=name)
        text, size = call.function.arguments, -(-len(call.function.arguments) // PARTS)
        parts = [FunctionCall(arguments=text[at : at + size]) for at in range(0, len(text), size)]
        calls = [first, *(ToolCall(index=index, function=part) for part in parts)]
        deltas += [AnswerMessage(tool_calls=[piece]) for piece in calls]
    return deltas


def text(_: CreateTextCompletionRequest) -> TextCompletion:
    """The right continuation."""
    return TextCompletion(
        id=uuid4().hex,
        object="text_completion",
        created=CREATED,
        model="t-1",
        choices=[TextChoice(index=0, text=" king of old", finish_reason="stop")],
        usage=usage(7, 3),
    )


def text_chunks(whole: TextCompletion) -> list[TextCompletion]:
    """A continuation in pieces."""

    def chunk(choice: TextChoice) -> TextCompletion:
        piece = TextCompletion(choices=[choice])
        for name in ("id", "object", "created", "model"):
            setattr(piece, name, getattr(whole, name))
        return piece

    words = whole.choices[0].text.split()
    last = TextChoice(index=0, text="", finish_reason="stop")
    return [*(chunk(TextChoice(index=0, text=f" {word}")) for word in words), chunk(last)]


def embeddings(request: CreateEmbeddingsRequest) -> CreateEmbeddingsResponse:
    """The right vectors: of the texts' letters."""
    vectors = [vector(one.text) for one in request.input]
    packed = request.encoding_format == "base64"
    return CreateEmbeddingsResponse(
        object="list",
        model="e-1",
        data=[
            Embedding(object="embedding", index=index, embedding_base64=pack(one))
            if packed
            else Embedding(object="embedding", index=index, embedding=one)
            for index, one in enumerate(vectors)
        ],
        usage=EmbeddingsUsage(prompt_tokens=9, total_tokens=9),
    )


def vector(one: str) -> list[float]:
    """Four numbers about a text."""
    return [float(len(one)), float(one.count(" ")), float(sum(map(ord, one))), 0.5]


def pack(numbers: Sequence[float]) -> str:
    """Numbers as 32-bit floats in base64."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def images(request: GenerateImagesRequest) -> GenerateImagesResponse:
    """The right images, plain ones."""
    width, _, height = (request.size or "64x64").partition("x")
    drawn = Image(b64_json=base64.b64encode(png(int(width), int(height))).decode())
    return GenerateImagesResponse(created=CREATED, model="i-1", data=[drawn] * (request.n or 1))


def png(width: int, height: int) -> bytes:
    """An image of this size."""
    out = io.BytesIO()
    Pillow.new("RGB", (width, height)).save(out, format="PNG")
    return out.getvalue()


ADD: dict[str, Any] = {
    "chat": chat_pb2_grpc.add_ChatServicer_to_server,
    "completions": completions_pb2_grpc.add_CompletionsServicer_to_server,
    "embeddings": embeddings_pb2_grpc.add_EmbeddingsServicer_to_server,
    "images": images_pb2_grpc.add_ImagesServicer_to_server,
    "models": models_pb2_grpc.add_ModelsServicer_to_server,
}


@asynccontextmanager
async def listening(flaw: Flaw, services: Sequence[str] = tuple(ADD)) -> AsyncIterator[str]:
    """Runs a plug-in with these services; gives its address."""
    server = grpc.aio.server()
    for service in services:
        ADD[service](Plugin(flaw), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
