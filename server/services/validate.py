"""What must hold of a request before any provider is asked.

Ranges that vendors differ in are theirs to check.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completions_pb2 import CreateTextCompletionRequest
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from interference.v1.input_pb2 import TextInput
from interference.v1.message_pb2 import ContentPart
from server import forms
from server.errors import InvalidRequest
from server.operations import Request, StreamRequest
from server.services.call import MAX_TIMEOUT

if TYPE_CHECKING:
    from interference.v1.routing_pb2 import Hedge, TimeLimits

_LEAST = 0.001  # seconds
_MAX_PROVIDERS = 32
_MAX_ID = 64  # characters
_MAX_MODEL = 256  # characters
_MAX_CHOICES = 128
_MAX_MESSAGES = 20_000
_MAX_PARTS = 20_000
_MAX_TOOLS = 2_000
_MAX_INPUTS = 2_048
_MAX_IMAGES = 10
_MAX_SIDE = 16_384
_SIZE = re.compile(r"[1-9][0-9]{0,4}x[1-9][0-9]{0,4}|auto")
_CONTENT = ("text", "image_url", "input_audio", "file", "refusal")


def chat(request: CreateCompletionRequest) -> None:
    """Raises `InvalidRequest` that names the field at fault."""
    _providers(request)
    if not request.messages:
        raise _wrong("messages", "is required: a list of at least one message")
    if len(request.messages) > _MAX_MESSAGES:
        raise _wrong("messages", f"must be at most {_MAX_MESSAGES}")
    messages = request.messages[:]
    contents = [message.content for message in messages]
    if sum(map(len, contents)) > _MAX_PARTS:
        raise _wrong("messages", f"must hold at most {_MAX_PARTS} parts")
    if len(request.tools) > _MAX_TOOLS:
        raise _wrong("tools", f"must be at most {_MAX_TOOLS}")
    for index, message in enumerate(messages):
        if not message.role:
            raise _wrong(f"messages[{index}].role", "is required")
        _parts(contents[index], "messages", index)
    if request.HasField("prediction"):
        _parts(request.prediction.content, "prediction")
    if request.HasField("n") and not 1 <= request.n <= _MAX_CHOICES:
        raise _wrong("n", f"must be 1 to {_MAX_CHOICES}")
    _texts(request)


def text(request: CreateTextCompletionRequest) -> None:
    """Raises `InvalidRequest` that names the field at fault."""
    _providers(request)
    _inputs(request.prompt, "prompt")
    if request.HasField("n") and not 1 <= request.n <= _MAX_CHOICES:
        raise _wrong("n", f"must be 1 to {_MAX_CHOICES}")
    _texts(request)


def embeddings(request: CreateEmbeddingsRequest) -> None:
    """Raises `InvalidRequest` that names the field at fault."""
    _providers(request)
    _inputs(request.input, "input")
    if request.encoding_format not in ("", "float", "base64"):
        raise _wrong("encoding_format", "must be float or base64")
    if request.HasField("dimensions") and request.dimensions < 1:
        raise _wrong("dimensions", "must be at least 1")
    _texts(request)


def not_streamed(request: StreamRequest, sibling: str) -> None:
    """Raises `InvalidRequest` where a unary call is asked to stream, or is told how."""
    if request.stream:
        raise InvalidRequest(
            f"stream must be true or false over REST; over gRPC call {sibling}.", param="stream"
        )
    if request.HasField("stream_options"):
        raise _wrong("stream_options", f"is for streams: set stream over REST, call {sibling} over gRPC")


def images(request: GenerateImagesRequest) -> None:
    """Raises `InvalidRequest` that names the field at fault."""
    _providers(request)
    if not request.prompt:
        raise _wrong("prompt", "is required")
    if request.stream or request.partial_images:
        raise _wrong("stream" if request.stream else "partial_images", "is not served for images")
    if request.HasField("n") and not 1 <= request.n <= _MAX_IMAGES:
        raise _wrong("n", f"must be 1 to {_MAX_IMAGES}")
    if request.HasField("size") and not _SIZE.fullmatch(request.size):
        raise _wrong("size", "must be WIDTHxHEIGHT in pixels, for example 512x512, or auto")
    for name in ("width", "height"):
        if request.HasField(name) and not 1 <= getattr(request, name) <= _MAX_SIDE:
            raise _wrong(name, f"must be 1 to {_MAX_SIDE}")
    if request.HasField("width") != request.HasField("height"):
        missing = "height" if request.HasField("width") else "width"
        raise _wrong(missing, "is required where the other side is given")
    if request.HasField("size") and request.HasField("width"):
        raise _wrong("size", "cannot be given beside width and height")
    if request.response_format not in ("", "url", "b64_json"):
        raise _wrong("response_format", "must be url or b64_json")
    _texts(request)


def provider(name: str) -> None:
    """Raises `InvalidRequest` for what is too long to be a provider's id."""
    if len(name) > _MAX_ID:
        raise _wrong("provider", f"must be ids of at most {_MAX_ID} characters")


def model(name: str) -> None:
    """Raises `InvalidRequest` for what is too long to be a model's name."""
    if len(name) > _MAX_MODEL:
        raise _wrong("model", f"must be at most {_MAX_MODEL} characters")


def _inputs(given: Sequence[TextInput], name: str) -> None:
    if not given:
        raise _wrong(name, "is required: a text, tokens, or a list of either")
    if len(given) > _MAX_INPUTS:
        raise _wrong(name, f"must be at most {_MAX_INPUTS}")
    for index, one in enumerate(given):
        if one.HasField("text") == bool(one.tokens) and not one.extra_json:
            raise _wrong(f"{name}[{index}]", "must hold one of text, tokens")


def _providers(request: Request) -> None:
    if named := request.providers:
        if len(named) > _MAX_PROVIDERS:
            raise _wrong("provider", f"must be at most {_MAX_PROVIDERS} ids")
        for name in named:
            provider(name)
    model(request.model)
    _steering(request)


def _steering(request: Request) -> None:
    """How long the request may take, and when it hedges."""
    _seconds(request, "timeout", "timeout")
    for name in ("time_limits", "hedge"):
        if not request.HasField(name):
            continue
        given: TimeLimits | Hedge = getattr(request, name)
        if given.extra_json:
            raise _wrong(name, f"has members that are not known: {given.extra_json[:100]}")
        for field in given.DESCRIPTOR.fields:
            if field.name != "extra_json":
                _seconds(given, field.name, f"{name}.{field.name}", least=0 if name == "hedge" else _LEAST)


def _seconds(message: Any, name: str, where: str, least: float = _LEAST) -> None:
    if message.HasField(name) and not least <= getattr(message, name) <= MAX_TIMEOUT:
        raise _wrong(where, f"must be {least:g} to {MAX_TIMEOUT:g} seconds")


def _parts(parts: Sequence[ContentPart], name: str, index: int | None = None) -> None:
    for number, part in enumerate(parts[:]):
        given = part.ListFields()
        if len(given) == 1 and given[0][0].name in _CONTENT:
            continue  # as most are
        where = name if index is None else f"{name}[{index}]"
        _part(part, [field.name for field, _ in given], f"{where}.content[{number}]")


def _part(part: ContentPart, names: list[str], where: str) -> None:
    given = [name for name in names if name in _CONTENT]
    if len(given) > 1:
        raise _wrong(where, f"must hold one of {', '.join(given)}")
    if not given and not part.extra_json:
        raise _wrong(where, f"must hold one of {', '.join(_CONTENT)}")
    if part.type and given and part.type in _CONTENT and part.type != given[0]:
        raise _wrong(f"{where}.type", f"is {part.type}, but {given[0]} is given")


def _texts(request: Request) -> None:
    for field, fault in forms.check(request):
        raise _wrong(field, fault)


def _wrong(param: str, fault: str) -> InvalidRequest:
    return InvalidRequest(f"{param} {fault}.", param=param)
