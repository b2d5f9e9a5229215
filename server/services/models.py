"""The Models service."""

from collections.abc import Iterator, Sequence

from interference.v1.models_pb2 import GetModelRequest, ListModelsRequest, ListModelsResponse, Model
from interference.v1.models_pb2_grpc import ModelsServicer
from server.errors import NotFound
from server.operations import CHAT, IMAGES
from server.routing.roster import Provider, Roster
from server.services import call, validate
from server.services.call import Context

_VISION = "vision"
# What a chat model can be asked for: the word, the request field that asks for it, and its value, if any.
_WORDS = (
    ("tools", "tools", "function"),
    ("json_schema", "response_format", "json_schema"),
    ("reasoning", "reasoning_effort", ""),
    ("logprobs", "logprobs", ""),
)


class Models(ModelsServicer):
    """Says what can be asked for."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:
        """Lists the models of all enabled providers, by id."""
        having: dict[str, list[Provider]] = {}
        for provider in self._asked(context):
            for name in provider.operations():
                having.setdefault(name, []).append(provider)
        data = [_described(name, having[name]) for name in sorted(having)]
        return ListModelsResponse(object="list", data=data)

    async def GetModel(self, request: GetModelRequest, context: Context) -> Model:
        """Describes one model; `provider/model` describes it as that provider has it."""
        validate.model(request.model)
        asked = self._asked(context)
        having = [provider for provider in asked if provider.has(request.model)]
        if having:
            return _described(request.model, having)
        head, _, rest = request.model.partition("/")
        having = [provider for provider in asked if provider.id == head and provider.has(rest)]
        if having:
            model = _described(rest, having)
            model.id = request.model
            return model
        raise NotFound(
            f"No enabled provider has the model {request.model}."
            f"{self._roster.suggest(request.model, CHAT)} GET /v1/models lists what there is.",
            reason="model_not_found",
            param="model",
            model=request.model,
        )

    def _asked(self, context: Context) -> list[Provider]:
        """The providers that the path names, or all; those that are enabled."""
        names = call.chosen(context)
        chosen = [self._roster.named(name) for name in names] if names else self._roster
        return [provider for provider in chosen if provider.enabled]


def _described(name: str, having: Sequence[Provider]) -> Model:
    """A model as those who have it do, by priority."""
    first = having[0].row
    words: dict[str, None] = {}
    params: dict[str, None] = {}
    for provider in having:
        words |= dict.fromkeys(_words(provider, name))
        for operation in provider.operations()[name]:
            params |= dict.fromkeys(provider.row.params_of(operation))
    return Model(
        id=name,
        object="model",
        owned_by=first.label or first.id,
        image=IMAGES.name in words,
        vision=_VISION in words,
        providers=[provider.id for provider in having],
        capabilities=words,
        params=params,
    )


def _words(provider: Provider, name: str) -> Iterator[str]:
    """What a provider can do with a model."""
    done = provider.operations()[name]
    yield from (operation.name for operation in done)
    if name in provider.vision_models:
        yield _VISION
    if CHAT in done:
        for word, param, value in _WORDS:
            if param in provider.row.params and value not in provider.row.profile.refuses.get(param, ()):
                yield word
