"""The Models service."""

from collections.abc import Sequence
from dataclasses import dataclass

from interference.v1.models_pb2 import GetModelRequest, ListModelsRequest, ListModelsResponse, Model
from interference.v1.models_pb2_grpc import ModelsServicer
from server import capabilities, operations
from server.capabilities import VISION
from server.errors import NotFound
from server.operations import CHAT, IMAGES, Operation
from server.routing.roster import Provider, Roster
from server.services import call, validate
from server.services.call import Context

_OWNER = "interference"  # of a route


@dataclass(frozen=True, slots=True)
class _Source:
    """A provider that has a model, and its public name of it."""

    provider: Provider
    model: str

    def operations(self) -> Sequence[Operation]:
        """What the provider does with the model; of one that is not on its list, what it may do."""
        known = self.provider.operations().get(self.model)
        return known or [one for one in operations.ALL if self.provider.may_have(self.model, one)]

    def words(self) -> list[str]:
        """What the provider can do with the model."""
        return capabilities.words(self.operations(), self.provider.known(self.model))


class Models(ModelsServicer):
    """Says what can be asked for."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:
        """Lists the models of all enabled providers and the routes to them, by id."""
        asked = call.enabled(self._roster)
        having: dict[str, list[_Source]] = {}
        for provider in asked:
            for name in provider.operations():
                having.setdefault(name, []).append(_Source(provider, name))
        models = {name: _described(name, sources) for name, sources in having.items()}
        for name in self._roster.routes.named:
            if (model := self._route(name, asked)) is not None:
                models[name] = model
        return ListModelsResponse(object="list", data=[models[name] for name in sorted(models)])

    async def GetModel(self, request: GetModelRequest, context: Context) -> Model:
        """Describes one model; `provider/model` describes it as that provider has it."""
        validate.model(request.model)
        asked = call.enabled(self._roster)
        model = self._model(request.model, asked)
        if model is None:
            head, _, rest = request.model.partition("/")
            model = self._model(rest, [provider for provider in asked if provider.id == head])
        if model is not None:
            model.id = request.model
            return model
        raise NotFound(
            f"No enabled provider has the model {request.model}."
            f"{self._roster.suggest(request.model, CHAT)} GET /v1/models lists what there is.",
            reason="model_not_found",
            param="model",
            model=request.model,
        )

    def _model(self, name: str, asked: Sequence[Provider]) -> Model | None:
        """The route of this name, or else the model, where one of these providers has it."""
        if (model := self._route(name, asked)) is not None:
            return model
        having = [_Source(provider, name) for provider in asked if provider.has(name)]
        return _described(name, having) if having else None

    def _route(self, name: str, asked: Sequence[Provider]) -> Model | None:
        """A route, where one of these providers is a target that can be asked."""
        if (route := self._roster.routes.named.get(name)) is None:
            return None
        enabled = {provider.id: provider for provider in asked}
        having = [
            _Source(provider, provider.public(target.model))
            for target in route.targets
            if (provider := enabled.get(target.provider)) is not None
        ]
        having = [source for source in having if source.operations()]
        return _described(name, having, _OWNER) if having else None


def _described(name: str, having: Sequence[_Source], owner: str = "") -> Model:
    """A model as those who have it do, the first that is asked first."""
    first = having[0].provider.row
    words: dict[str, None] = {}
    params: dict[str, None] = {}
    lengths = [source.provider.known(source.model).context_length for source in having]
    for source in having:
        words |= dict.fromkeys(source.words())
        for operation in source.operations():
            params |= dict.fromkeys(source.provider.row.params_of(operation))
    return Model(
        id=name,
        object="model",
        owned_by=owner or first.label or first.id,
        image=IMAGES.name in words,
        vision=VISION in words,
        providers=dict.fromkeys(source.provider.id for source in having),
        capabilities=words,
        params=params,
        context_length=max((length for length in lengths if length is not None), default=None),
    )
