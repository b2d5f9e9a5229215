"""The Providers service."""

from collections.abc import AsyncIterator

from interference.v1.providers_pb2 import (
    GetProviderRequest,
    ListProvidersRequest,
    Provider,
    ProviderDetails,
)
from interference.v1.providers_pb2_grpc import ProvidersServicer
from server.routing.roster import Roster
from server.services import validate
from server.services.call import Context


class Providers(ProvidersServicer):
    """Says who can be asked."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    async def ListProviders(
        self, request: ListProvidersRequest, context: Context
    ) -> AsyncIterator[Provider]:
        """Lists the enabled providers, by priority."""
        for provider in self._roster.enabled:
            row = provider.row
            yield Provider(id=row.id, object="provider", url=row.url, label=row.label or row.id)

    async def GetProvider(self, request: GetProviderRequest, context: Context) -> ProviderDetails:
        """Describes one provider, enabled or not."""
        validate.provider(request.provider)
        provider = self._roster.named(request.provider)
        row = provider.row
        params = (*row.params, *row.image_params) if provider.image_models else row.params
        if not provider.chat_models and provider.image_models:
            params = row.image_params
        return ProviderDetails(
            id=row.id,
            object="provider",
            url=row.url,
            label=row.label or row.id,
            models=provider.chat_models,
            image_models=provider.image_models,
            vision_models=provider.vision_models,
            params=list(dict.fromkeys(params)),
            enabled=provider.enabled,
            reason=provider.reason,
        )
