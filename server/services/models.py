"""The Models service."""

from interference.v1.models_pb2 import GetModelRequest, ListModelsRequest, ListModelsResponse, Model
from interference.v1.models_pb2_grpc import ModelsServicer
from server.errors import NotFound
from server.operations import CHAT, IMAGES, Operation
from server.routing.roster import Provider, Roster
from server.services import call, validate
from server.services.call import Context

# What a chat model can do, by the request field that asks for it.
_WORDS = {
    "tools": "tools",
    "json_schema": "response_format",
    "reasoning": "reasoning_effort",
    "logprobs": "logprobs",
    "audio": "audio",
}


class Models(ModelsServicer):
    """Says what can be asked for."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:
        """Lists the models of all enabled providers, by id."""
        found = self._models(self._asked(context))
        return ListModelsResponse(object="list", data=[found[name] for name in sorted(found)])

    async def GetModel(self, request: GetModelRequest, context: Context) -> Model:
        """Describes one model; `provider/model` describes it as that provider has it."""
        validate.model(request.model)
        asked = self._asked(context)
        if (model := self._models(asked).get(request.model)) is not None:
            return model
        head, _, rest = request.model.partition("/")
        named = [provider for provider in asked if provider.id == head]
        if (model := self._models(named).get(rest)) is not None:
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

    @staticmethod
    def _models(providers: list[Provider]) -> dict[str, Model]:
        found: dict[str, Model] = {}
        for provider in providers:
            for name, operations in provider.operations().items():
                if name not in found:
                    label = provider.row.label or provider.id
                    found[name] = Model(id=name, object="model", owned_by=label)
                _add(found[name], provider, operations)
        return found


def _add(model: Model, provider: Provider, operations: list[Operation]) -> None:
    """Adds what a provider can do with a model to what others can."""
    vision = model.id in provider.vision_models
    model.image = model.image or IMAGES in operations
    model.vision = model.vision or vision
    model.providers.append(provider.id)
    words = [operation.name for operation in operations] + (["vision"] if vision else [])
    if CHAT in operations:
        words += [word for word, param in _WORDS.items() if param in provider.row.params]
    params = [name for operation in operations for name in provider.row.params_of(operation)]
    model.capabilities.extend(word for word in words if word not in model.capabilities)
    known = set(model.params)
    model.params.extend(name for name in dict.fromkeys(params) if name not in known)
