"""The Providers service."""

from collections.abc import AsyncIterator

from interference.v1.providers_pb2 import (
    GetProviderRequest,
    ListProvidersRequest,
    Provider,
    ProviderDetails,
)
from interference.v1.providers_pb2_grpc import ProvidersServicer
from server import operations
from server.operations import CHAT, EMBEDDINGS, IMAGES, TEXT_COMPLETIONS
from server.routing.roster import Roster
from server.services import call, validate
from server.services.call import Context


class Providers(ProvidersServicer):
    """Says who can be asked."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    async def ListProviders(
        self, request: ListProvidersRequest, context: Context
    ) -> AsyncIterator[Provider]:
        """Lists the enabled providers, by priority."""
        names = call.chosen(context)
        chosen = [self._roster.named(name) for name in names] if names else self._roster
        for provider in chosen:
            if not provider.enabled:
                continue
            row = provider.row
            yield Provider(id=row.id, object="provider", url=row.url, label=row.label or row.id)

    async def GetProvider(self, request: GetProviderRequest, context: Context) -> ProviderDetails:
        """Describes one provider, enabled or not."""
        validate.provider(request.provider)
        provider = self._roster.named(request.provider)
        row = provider.row
        done = [operation for operation in operations.ALL if provider.models(operation)] or [CHAT]
        params = [name for operation in done for name in row.params_of(operation)]
        return ProviderDetails(
            id=row.id,
            object="provider",
            url=row.url,
            label=row.label or row.id,
            models=provider.models(CHAT),
            text_models=provider.models(TEXT_COMPLETIONS),
            embedding_models=provider.models(EMBEDDINGS),
            image_models=provider.models(IMAGES),
            vision_models=provider.vision_models,
            params=list(dict.fromkeys(params)),
            enabled=provider.enabled,
            reason=provider.reason,
        )
