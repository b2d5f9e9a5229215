"""The services that a plug-in may have, with their methods."""

from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message

from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.completions_pb2 import TextCompletion
from interference.v1.embeddings_pb2 import CreateEmbeddingsResponse
from interference.v1.images_pb2 import GenerateImagesResponse
from interference.v1.models_pb2 import ListModelsResponse
from server import operations

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Method(Generic[M]):
    """A method, by its service and name, and what it answers with."""

    name: str
    answer: type[M]
    streams: bool = False

    @property
    def path(self) -> str:
        """Where it is called."""
        return f"/interference.v1.{self.name}"


CHAT: Final = Method("Chat/CreateCompletion", ChatCompletion)
CHAT_STREAM: Final = Method("Chat/StreamCompletion", ChatCompletionChunk, streams=True)
TEXT: Final = Method("Completions/CreateTextCompletion", TextCompletion)
TEXT_STREAM: Final = Method("Completions/StreamTextCompletion", TextCompletion, streams=True)
EMBED: Final = Method("Embeddings/CreateEmbeddings", CreateEmbeddingsResponse)
DRAW: Final = Method("Images/GenerateImages", GenerateImagesResponse)
MEDIA: Final = Method("Images/GetMedia", HttpBody)
LIST: Final = Method("Models/ListModels", ListModelsResponse)


@dataclass(frozen=True)
class Service:
    """A service of the contract: its name there, the methods that a plug-in needs, and the capability of a
    model that it asks for.
    """

    label: str
    methods: tuple[Method[Any], ...]
    capability: str = ""


SERVICES: Final = {
    "chat": Service("Chat", (CHAT, CHAT_STREAM), operations.CHAT.name),
    "completions": Service("Completions", (TEXT, TEXT_STREAM), operations.TEXT_COMPLETIONS.name),
    "embeddings": Service("Embeddings", (EMBED,), operations.EMBEDDINGS.name),
    "images": Service("Images", (DRAW,), operations.IMAGES.name),
    "models": Service("Models", (LIST,)),
}
