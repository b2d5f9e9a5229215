"""OpenAI's dialect, as OpenAI and every OpenAI-compatible server speaks it: a pure translator.

https://platform.openai.com/docs/api-reference/chat
https://platform.openai.com/docs/api-reference/images
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar
from uuid import uuid4

import msgspec
from google.protobuf.message import Message

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse
from server import forms
from server.drivers import deltas, failures
from server.drivers.base import Target
from server.errors import AttemptFailed
from server.rows import CHAT_PARAMS, IMAGE_PARAMS, TWINS
from server.transport import HttpAnswer, HttpRequest

# Other spellings of contract fields among OpenAI-compatible servers (DeepSeek, vLLM, llama.cpp).
# `provider` is ours to say; an upstream's own (OpenRouter's) goes to `extra`.
_SPELLINGS = (("reasoning_content", "reasoning"), ("provider", ""))
M = TypeVar("M", bound=Message)
_CHAT_ENVELOPE = frozenset({"model", "providers", "stream", "stream_options"})
_IMAGE_ENVELOPE = frozenset(
    {"model", "providers", "stream", "size", "width", "height", "response_format", "partial_images"}
)
_FAILED: Final = "broken_answer"


class OpenAIDialect:
    """Translates chat and images; one instance serves all requests, a decoder serves one stream."""

    def models_request(self, target: Target) -> HttpRequest:
        """GET /models."""
        return HttpRequest("GET", f"{_base(target)}/models", _headers(target))

    def models(self, answer: HttpAnswer) -> list[str]:
        """`{"data": [{"id": ...}]}`, or at some servers the bare list."""
        decoded = _decode(answer.body)
        listed = decoded.get("data") if isinstance(decoded, dict) else decoded
        if not isinstance(listed, list):
            raise AttemptFailed(_FAILED, "answered with no list of models")
        ids = (item.get("id") for item in listed if isinstance(item, dict))
        # Gemini lists `models/gemini-...` and takes the name with and without the prefix.
        return [name.removeprefix("models/") for name in ids if isinstance(name, str) and name]

    def chat_request(
        self, request: CreateCompletionRequest, target: Target, *, stream: bool
    ) -> HttpRequest:
        """POST /chat/completions."""
        honoured = target.row.params
        body = forms.lower(request, _CHAT_ENVELOPE)
        for name, twin in TWINS.items():
            if name in body and name not in honoured and twin in honoured:
                body.setdefault(twin, body.pop(name))
        if request.n == 1 or target.row.unsupported == "drop":
            body = _without(body, CHAT_PARAMS, honoured)
        body["model"] = target.model
        if stream:
            body["stream"] = True
            if request.HasField("stream_options") and "stream_options" in honoured:
                body["stream_options"] = forms.lower(request.stream_options)
        return _post(target, "chat/completions", body)

    def completion(self, answer: HttpAnswer, target: Target) -> ChatCompletion:
        """Reads a whole completion."""
        decoded = _object(answer, target)
        if not isinstance(decoded.get("choices"), list) or not decoded["choices"]:
            raise AttemptFailed(_FAILED, "answered without choices", status=answer.status)
        completion = _lift(ChatCompletion, decoded)
        if not completion.choices or not all(c.HasField("message") for c in completion.choices):
            raise AttemptFailed(_FAILED, "answered with choices of another shape")
        completion.id = completion.id or f"chatcmpl-{uuid4().hex}"
        completion.object = "chat.completion"
        completion.model = completion.model or target.model
        completion.provider = target.row.id
        if not completion.HasField("created"):
            completion.created = int(time.time())
        for index, choice in enumerate(completion.choices):
            if not choice.HasField("index"):
                choice.index = index
            choice.message.role = choice.message.role or "assistant"
        return completion

    def decoder(self, request: CreateCompletionRequest, target: Target) -> "OpenAIDecoder":
        """Reads a streamed completion."""
        return OpenAIDecoder(target, include_usage=request.stream_options.include_usage)

    def images_request(self, request: GenerateImagesRequest, target: Target) -> HttpRequest:
        """POST /images/generations. The size is given in the fields that the provider has for it."""
        honoured = target.row.image_params
        body = forms.lower(request, _IMAGE_ENVELOPE)
        if request.n == 1 or target.row.unsupported == "drop":
            body = _without(body, IMAGE_PARAMS, honoured)
        body["model"] = target.model
        if request.HasField("response_format") and "response_format" in honoured:
            body["response_format"] = request.response_format
        body |= _size(request, honoured)
        return _post(target, "images/generations", body)

    def images(self, answer: HttpAnswer, target: Target) -> GenerateImagesResponse:
        """Reads images."""
        images = _lift(GenerateImagesResponse, _object(answer, target))
        if not images.data or not all(item.url or item.b64_json for item in images.data):
            raise AttemptFailed(_FAILED, "answered without images", status=answer.status)
        images.model = images.model or target.model
        images.provider = target.row.id
        if not images.HasField("created"):
            images.created = int(time.time())
        return images

    def failure(self, answer: HttpAnswer, target: Target) -> Exception:
        """Reads an answer that is no success."""
        return failures.read(answer.status, answer.headers, _try_decode(answer.body), target)


class OpenAIDecoder:
    """Reads the events of one stream. `done` is set by `[DONE]`."""

    def __init__(self, target: Target, *, include_usage: bool) -> None:
        self._target = target
        self._include_usage = include_usage
        self._id = f"chatcmpl-{uuid4().hex}"
        self._model = target.model
        self._created = int(time.time())
        self.done = False

    def feed(self, events: Sequence[bytes]) -> Iterator[ChatCompletionChunk]:
        """Reads the data of events that arrived together. What came before a fault is given before it."""
        for decoded in deltas.joined(self._decoded(events)):
            chunk = _lift(ChatCompletionChunk, decoded)
            if not self._include_usage:
                chunk.ClearField("usage")
            if chunk.choices or chunk.HasField("usage"):
                yield self._complete(chunk)

    def _decoded(self, events: Sequence[bytes]) -> Iterator[dict[str, Any]]:
        for event in events:
            if event.strip() == b"[DONE]":
                self.done = True
                return
            decoded = _decode(event)
            if not isinstance(decoded, dict):
                raise AttemptFailed(_FAILED, "sent an event that is not a JSON object")
            if failures.is_failure(decoded):
                raise failures.read(200, {}, decoded, self._target)
            yield decoded

    def _complete(self, chunk: ChatCompletionChunk) -> ChatCompletionChunk:
        chunk.ClearField("error")
        chunk.ClearField("attempts")
        self._id = chunk.id = chunk.id or self._id
        chunk.object = "chat.completion.chunk"
        self._model = chunk.model = chunk.model or self._model
        chunk.provider = self._target.row.id
        self._created = chunk.created = chunk.created or self._created
        for index, choice in enumerate(chunk.choices):
            if not choice.HasField("index"):
                choice.index = index
        return chunk


def _base(target: Target) -> str:
    return target.row.base_url.rstrip("/")


def _headers(target: Target) -> dict[str, str]:
    return {"authorization": f"Bearer {target.key}"} if target.key else {}


def _post(target: Target, path: str, body: dict[str, Any]) -> HttpRequest:
    headers = {"content-type": "application/json", **_headers(target)}
    return HttpRequest("POST", f"{_base(target)}/{path}", headers, msgspec.json.encode(body))


def _without(body: dict[str, Any], known: tuple[str, ...], honoured: tuple[str, ...]) -> dict[str, Any]:
    """The body without the parameters that the provider does not take."""
    return {name: value for name, value in body.items() if name in honoured or name not in known}


def _size(request: GenerateImagesRequest, honoured: tuple[str, ...]) -> dict[str, Any]:
    """The size in the fields that the provider has for it. `auto` is what goes without saying."""
    size = request.size or (f"{request.width}x{request.height}" if request.width else "")
    if not size or (size == "auto" and "size" not in honoured):
        return {}
    if "size" in honoured:
        return {"size": size}
    width, _, height = size.partition("x")
    return {"width": int(width), "height": int(height)}


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except forms.JSON_FAULTS:
        raise AttemptFailed(_FAILED, "answered with something that is not JSON") from None


def _lift(message_type: type[M], decoded: dict[str, Any]) -> M:
    for choice in decoded.get("choices") or ():
        message = isinstance(choice, dict) and (choice.get("delta") or choice.get("message"))
        if isinstance(message, dict) and isinstance(message.get("content"), list):
            _join_parts(message)
    try:
        return forms.lift(message_type, decoded, _SPELLINGS)
    except forms.JSON_FAULTS:
        raise AttemptFailed(_FAILED, "answered with JSON that is nested beyond reason") from None


def _join_parts(message: dict[str, Any]) -> None:
    """Content in parts (https://docs.mistral.ai/capabilities/reasoning): text, and thinking before it."""
    parts = message["content"]
    if not all(isinstance(part, dict) for part in parts):
        return
    text = [part.get("text") for part in parts if part.get("type") == "text"]
    thinking = [part.get("thinking") for part in parts if part.get("type") == "thinking"]
    thought = [
        inner.get("text") if isinstance(inner, dict) else inner
        for inner in (t for item in thinking for t in (item if isinstance(item, list) else [item]))
    ]
    if len(text) + len(thinking) != len(parts) or not all(isinstance(t, str) for t in (*text, *thought)):
        return
    del message["content"]
    if text:
        message["content"] = "".join(map(str, text))
    if thought:
        message["reasoning"] = "".join(map(str, thought))


def _try_decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except forms.JSON_FAULTS:
        return None


def _object(answer: HttpAnswer, target: Target) -> dict[str, Any]:
    """The answer's JSON object. Some servers say 200 and put an error in it."""
    decoded = _decode(answer.body)
    if not isinstance(decoded, dict):
        raise AttemptFailed(_FAILED, "answered with JSON that is not an object")
    if failures.is_failure(decoded):
        raise failures.read(answer.status, answer.headers, decoded, target)
    return decoded
