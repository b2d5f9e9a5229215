"""A worker that does what the model's name tells it to, and remembers the calls that it got.

It keeps the conventions that the edge relies on: the transcoder gets an `HttpBody` from each call with a
body, `ErrorResponse` is among the details, `x-interference-status` and `retry-after` are in the metadata of
a call that fails before it sent anything.
"""

from __future__ import annotations

import asyncio
import json
import operator
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import grpc
from google.api import httpbody_pb2
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from interference.v1 import (
    chat_pb2,
    chat_pb2_grpc,
    completion_pb2,
    embeddings_pb2,
    embeddings_pb2_grpc,
    error_pb2,
    images_pb2,
    images_pb2_grpc,
    messages_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    providers_pb2,
    providers_pb2_grpc,
)
from server.ingress.openai import OpenAIAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Context = grpc.aio.ServicerContext[Any, Any]


OPENAI = OpenAIAnswer()
EVENTS = "text/event-stream"
TOLD = (
    ("x-interference-provider", "B"),
    ("x-interference-model", "org/m%20b"),
    ("x-interference-attempts", '"A";cause=rate_limited;duration_ms=3.1, "B";duration_ms=12.0'),
)
ABORTED = grpc.StatusCode.ABORTED
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


@dataclass
class Calls:
    """What arrived, newest last."""

    requests: list[Any] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    remaining: list[float | None] = field(default_factory=list)  # seconds until gRPC's own deadline
    streamed: int = 0  # chunks of endless streams
    heard: Callable[[], object] = lambda: None

    def clear(self) -> None:
        for some in (self.requests, self.metadata, self.remaining):
            some.clear()

    def add(self, request: Any, context: Context) -> None:
        self.requests.append(request)
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata() or ()})
        self.remaining.append(context.time_remaining())
        self.heard()


def status_details() -> bytes:
    """A google.rpc.Status as the real server makes it."""
    response = error_pb2.ErrorResponse(
        error=error_pb2.Error(message='No "such" model.', type="not_found_error", param="model"),
        model="m",
        attempts=[error_pb2.Attempt(provider="P", cause="no_such_model", duration_ms=1.5)],
    )
    status = status_pb2.Status(code=5, message="No such model.")
    for message in (error_details_pb2.ErrorInfo(reason="MODEL_NOT_FOUND"), response):
        packed = any_pb2.Any()
        packed.Pack(message)
        status.details.append(packed)
    return bytes(status.SerializeToString())


async def answer_as(model: str, context: Context) -> None:
    """Fails, or sends headers, as the model's name says; returns where it says nothing."""
    details = ("grpc-status-details-bin", status_details())
    if model == "unknown":
        await context.abort(NOT_FOUND, "x", trailing_metadata=(details,))
    if model == "unprocessable":
        exact = ("x-interference-status", "422")
        await context.abort(INVALID_ARGUMENT, "x", trailing_metadata=(details, exact))
    if model == "limited":
        await context.abort(RESOURCE_EXHAUSTED, 'too "many"', trailing_metadata=(("retry-after", "7"),))
    if model == "cached":
        not_modified = (("x-interference-status", "304"), ("etag", '"e"'))
        await context.abort(ABORTED, "x", trailing_metadata=not_modified)
    if model == "told":
        await context.send_initial_metadata(TOLD)
    if model.startswith("told behind"):
        context.set_trailing_metadata(TOLD)
    if model == "failed":
        await context.abort(UNAVAILABLE, "x", trailing_metadata=(details, TOLD[-1]))
    if model == "slow":
        await asyncio.sleep(60)
    if model == "silent":
        await context.abort(UNIMPLEMENTED, "")


def answered(answer: Any, context: Context) -> Any:
    """An answer as who asks for it reads it: the transcoder, or a caller of gRPC."""
    return as_body(OPENAI.whole(answer)) if is_transcoded(context) else answer


def as_body(data: bytes, kind: str = "application/json") -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type=kind, data=data)


def is_transcoded(context: Context) -> bool:
    return any(key == "x-envoy-original-path" for key, _ in context.invocation_metadata() or ())


class AnyAnswer(grpc.aio.ServerInterceptor):
    """Lets servicers answer with other messages than those of the contract."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        write = operator.methodcaller("SerializeToString")
        return handler and handler._replace(response_serializer=write)


class Chat(chat_pb2_grpc.ChatServicer):
    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def CreateCompletion(  # noqa: N802
        self, request: chat_pb2.CreateCompletionRequest, context: Context
    ) -> completion_pb2.ChatCompletion:
        self.calls.add(request, context)
        await answer_as(request.model, context)
        system = "x" * 200_000 if request.model.endswith("a large answer") else None
        answer = completion_pb2.ChatCompletion(
            id="1", object="chat.completion", model=request.model, system_fingerprint=system
        )
        return cast("completion_pb2.ChatCompletion", answered(answer, context))

    async def StreamCompletion(  # noqa: N802
        self, request: chat_pb2.CreateCompletionRequest, context: Context
    ) -> AsyncIterator[completion_pb2.ChatCompletionChunk]:
        self.calls.add(request, context)
        await answer_as(request.model, context)
        rest = is_transcoded(context)
        async for chunk in self._chunks(request.model):
            yield cast("Any", as_body(OPENAI.chunk(chunk), EVENTS)) if rest else chunk
        if request.model == "breaks":
            error = error_pb2.Error(message="It broke.", type="api_error", code="server_error")
            failed = OPENAI.failed(error_pb2.ErrorResponse(error=error))
            yield cast("Any", as_body(failed, EVENTS))
        elif rest:
            yield cast("Any", as_body(OPENAI.end(), EVENTS))

    async def _chunks(self, model: str) -> AsyncIterator[completion_pb2.ChatCompletionChunk]:
        while model == "endless":
            self.calls.streamed += 1
            delta = completion_pb2.AnswerMessage(content="x" * 16_384)
            yield completion_pb2.ChatCompletionChunk(choices=[completion_pb2.ChunkChoice(delta=delta)])
        for index in range(3):
            delta = completion_pb2.AnswerMessage(content=f"data: {{}}\n\n{index}")
            choice = completion_pb2.ChunkChoice(index=0, delta=delta)
            yield completion_pb2.ChatCompletionChunk(id="1", choices=[choice])


class Embeddings(embeddings_pb2_grpc.EmbeddingsServicer):
    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def CreateEmbeddings(  # noqa: N802
        self, request: embeddings_pb2.CreateEmbeddingsRequest, context: Context
    ) -> embeddings_pb2.CreateEmbeddingsResponse:
        self.calls.add(request, context)
        await answer_as(request.model, context)
        one = embeddings_pb2.Embedding(index=0, embedding_base64="AAAA")
        if request.encoding_format == "float":
            one = embeddings_pb2.Embedding(index=0, embedding=[0.1, 2])
        answer = embeddings_pb2.CreateEmbeddingsResponse(object="list", data=[one])
        return cast("embeddings_pb2.CreateEmbeddingsResponse", answered(answer, context))


class Messages(messages_pb2_grpc.MessagesServicer):
    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def CreateMessage(  # noqa: N802
        self, request: httpbody_pb2.HttpBody, context: Context
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        self.calls.add(request, context)
        await answer_as(json.loads(request.data)["model"], context)
        for word in (b"event: a\ndata: {}\n\n", b"event: b\ndata: {}\n\n"):
            yield as_body(word, EVENTS)


class Models(models_pb2_grpc.ModelsServicer):
    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def ListModels(  # noqa: N802
        self, request: models_pb2.ListModelsRequest, context: Context
    ) -> models_pb2.ListModelsResponse:
        self.calls.add(request, context)
        return models_pb2.ListModelsResponse(object="list", data=[models_pb2.Model(id="m")])

    async def GetModel(  # noqa: N802
        self, request: models_pb2.GetModelRequest, context: Context
    ) -> models_pb2.Model:
        self.calls.add(request, context)
        await answer_as(request.model, context)
        return models_pb2.Model(id=request.model)


class Providers(providers_pb2_grpc.ProvidersServicer):
    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def ListProviders(  # noqa: N802
        self, request: providers_pb2.ListProvidersRequest, context: Context
    ) -> AsyncIterator[providers_pb2.Provider]:
        self.calls.add(request, context)
        for name in ("A", "B"):
            yield providers_pb2.Provider(id=name)

    async def GetProvider(  # noqa: N802
        self, request: providers_pb2.GetProviderRequest, context: Context
    ) -> providers_pb2.ProviderDetails:
        self.calls.add(request, context)
        await answer_as(request.provider, context)
        return providers_pb2.ProviderDetails(id=request.provider)

    async def WatchProviders(  # noqa: N802
        self, request: providers_pb2.WatchProvidersRequest, context: Context
    ) -> AsyncIterator[providers_pb2.WatchProvidersResponse]:
        self.calls.add(request, context)
        yield providers_pb2.WatchProvidersResponse()


class Images(images_pb2_grpc.ImagesServicer):
    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def GenerateImages(  # noqa: N802
        self, request: images_pb2.GenerateImagesRequest, context: Context
    ) -> images_pb2.GenerateImagesResponse:
        self.calls.add(request, context)
        data = [images_pb2.Image(b64_json="A" * (request.n * 1_000_000))]
        answer = images_pb2.GenerateImagesResponse(created=1, data=data)
        return cast("images_pb2.GenerateImagesResponse", answered(answer, context))

    async def GetMedia(  # noqa: N802
        self, request: images_pb2.GetMediaRequest, context: Context
    ) -> httpbody_pb2.HttpBody:
        self.calls.add(request, context)
        await answer_as(request.name, context)
        exact = [("x-interference-status", "304")] if request.name == "known" else []
        metadata = (("etag", '"e"'), ("cache-control", "max-age=9"), *exact)
        await context.send_initial_metadata(metadata)
        return httpbody_pb2.HttpBody(content_type="image/png", data=b"\x89PNG\x00\xff")


class StubWorker:
    """Serves in a thread of its own, on a free port."""

    def __init__(self) -> None:
        self.calls = Calls()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(None), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.aio.server(interceptors=[AnyAnswer()], options=unlimited)
        chat_pb2_grpc.add_ChatServicer_to_server(Chat(self.calls), self._server)
        models_pb2_grpc.add_ModelsServicer_to_server(Models(self.calls), self._server)
        providers_pb2_grpc.add_ProvidersServicer_to_server(Providers(self.calls), self._server)
        embeddings_pb2_grpc.add_EmbeddingsServicer_to_server(Embeddings(self.calls), self._server)
        messages_pb2_grpc.add_MessagesServicer_to_server(Messages(self.calls), self._server)
        images_pb2_grpc.add_ImagesServicer_to_server(Images(self.calls), self._server)
        servicer = health.aio.HealthServicer()
        await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()


def main() -> None:
    """Serves in a process of its own: prints the port, and then a line for each call."""
    stub = StubWorker()
    stub.calls.heard = lambda: _say("called")
    stub.start()
    _say(str(stub.port))
    threading.Event().wait()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
