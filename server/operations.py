"""What a provider can be asked for: each operation, its messages, and the fields of a row about it."""

from dataclasses import dataclass
from functools import cached_property

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextCompletion
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse
from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse

StreamRequest = CreateCompletionRequest | CreateTextCompletionRequest
Request = StreamRequest | CreateEmbeddingsRequest | GenerateImagesRequest
Answer = ChatCompletion | TextCompletion | CreateEmbeddingsResponse | GenerateImagesResponse
Chunk = ChatCompletionChunk | TextCompletion

# How a request is routed: ours, no provider is told.
STEERING = frozenset({"timeout", "time_limits", "hedge"})
# What every request has, or what is no parameter of the model.
_ENVELOPE = STEERING | {
    *("model", "providers", "messages", "prompt", "input", "stream", "extra_json", "partial_images")
}


@dataclass(frozen=True)
class Operation:
    """One of the things that a provider may do.

    `models` and `params` name the fields of a row that list the models that do it and the parameters that
    the provider honours. Of the parameters there are, `fields`, some are `ours`: whatever the row says they
    are honoured, by the server or by saying them in another field that the provider has. Some are `hints`
    that do not change the answer: a provider that does not take them is asked without them.
    """

    name: str  # the word for it among the capabilities of a model
    noun: str  # what a model that does it is called
    request: type[Request]
    models: str
    params: str
    ours: frozenset[str]
    hints: frozenset[str] = frozenset()

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The parameters there are."""
        return tuple(f.name for f in self.request.DESCRIPTOR.fields if f.name not in _ENVELOPE)

    @cached_property
    def wanted(self) -> frozenset[str]:
        """Those that a provider must take to answer a request as it was meant."""
        return frozenset(self.fields) - self.ours - self.hints


CHAT = Operation(
    name="chat",
    noun="chat model",
    request=CreateCompletionRequest,
    models="models",
    params="params",
    ours=frozenset({"stream_options"}),
    hints=frozenset({"prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"}),
)
TEXT_COMPLETIONS = Operation(
    name="text_completions",
    noun="text model",
    request=CreateTextCompletionRequest,
    models="text_models",
    params="text_params",
    ours=frozenset({"stream_options"}),
)
EMBEDDINGS = Operation(
    name="embeddings",
    noun="embedding model",
    request=CreateEmbeddingsRequest,
    models="embedding_models",
    params="embedding_params",
    ours=frozenset({"encoding_format"}),
)
IMAGES = Operation(
    name="images",
    noun="image model",
    request=GenerateImagesRequest,
    models="image_models",
    params="image_params",
    ours=frozenset({"response_format", "size", "width", "height"}),
)
ALL = (CHAT, TEXT_COMPLETIONS, EMBEDDINGS, IMAGES)
_BY_REQUEST = {operation.request: operation for operation in ALL}


def of(request: Request) -> Operation:
    """The operation that a request asks for."""
    return _BY_REQUEST[type(request)]
