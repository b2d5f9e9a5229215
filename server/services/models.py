"""The Models service."""

from interference.v1.models_pb2 import GetModelRequest, ListModelsRequest, ListModelsResponse, Model
from interference.v1.models_pb2_grpc import ModelsServicer
from server.errors import NotFound
from server.routing.roster import Roster
from server.services import validate
from server.services.call import Context


class Models(ModelsServicer):
    """Says what can be asked for."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:
        """Lists the models of all enabled providers, by id."""
        found = self._models()
        return ListModelsResponse(object="list", data=[found[name] for name in sorted(found)])

    async def GetModel(self, request: GetModelRequest, context: Context) -> Model:
        """Describes one model; `provider/model` describes it as that provider has it."""
        validate.model(request.model)
        if (model := self._models().get(request.model)) is not None:
            return model
        head, _, rest = request.model.partition("/")
        if (model := self._models(only=head).get(rest)) is not None:
            model.id = request.model
            return model
        raise NotFound(
            f"No enabled provider has the model {request.model}."
            f"{self._roster.suggest_chat_model(request.model)} GET /v1/models lists what there is.",
            reason="model_not_found",
            param="model",
            model=request.model,
        )

    def _models(self, only: str | None = None) -> dict[str, Model]:
        found: dict[str, Model] = {}
        for provider in self._roster.enabled:
            if only is not None and provider.id != only:
                continue
            images = set(provider.image_models)
            vision = set(provider.vision_models)
            for name in dict.fromkeys([*provider.chat_models, *provider.image_models]):
                model = found.setdefault(
                    name,
                    Model(id=name, object="model", owned_by=provider.row.label or provider.id),
                )
                model.image = model.image or name in images
                model.vision = model.vision or name in vision
                model.providers.append(provider.id)
        return found
