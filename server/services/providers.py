"""The Providers service."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from interference.v1.providers_pb2 import (
    GetProviderRequest,
    Health,
    ListProvidersRequest,
    ModelCapabilities,
    Provider,
    ProviderDetails,
    WatchProvidersRequest,
    WatchProvidersResponse,
)
from interference.v1.providers_pb2_grpc import ProvidersServicer
from server import capabilities, operations
from server.errors import Unavailable
from server.operations import CHAT, EMBEDDINGS, IMAGES, TEXT_COMPLETIONS
from server.routing.circuit import Circuit
from server.routing.roster import Roster
from server.services import call, validate
from server.services.call import Context


class Providers(ProvidersServicer):
    """Says who can be asked."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._board = roster.board

    async def ListProviders(
        self, request: ListProvidersRequest, context: Context
    ) -> AsyncIterator[Provider]:
        """Lists the enabled providers, by priority."""
        for provider in call.enabled(self._roster):
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
            health=[self._health(circuit) for circuit in self._board.of(provider.id)],
            capabilities={
                model: ModelCapabilities(
                    words=capabilities.words(done, provider.known(model)),
                    context_length=provider.known(model).context_length,
                )
                for model, done in provider.operations().items()
            },
        )

    async def WatchProviders(
        self, request: WatchProvidersRequest, context: Context
    ) -> AsyncIterator[WatchProvidersResponse]:
        """Tells the health of all, and then of each change."""
        async with aclosing(self._board.watchers.changes()) as changes:
            async for keys in changes:
                circuits = [self._board.circuit(*key) for key in keys] if keys else self._everything()
                yield WatchProvidersResponse(health=[self._health(circuit) for circuit in circuits])
        raise Unavailable("The server is being stopped. Watch another.", reason="stopping")

    def _everything(self) -> list[Circuit]:
        return [circuit for provider in self._roster for circuit in self._board.of(provider.id)]

    def _health(self, circuit: Circuit) -> Health:
        provider, model = circuit.key
        now, observed = self._board.clock(), circuit.observed
        attempts, failures = observed.counts(now)
        health = Health(provider=provider, model=model, state=circuit.state, reason=circuit.reason)
        if circuit.state != "closed":
            health.retry_in = max(circuit.until - now, 0)
        if not model:
            missing = self._roster.named(provider).missing
            if missing:
                health.state, health.reason = "disabled", missing
                health.ClearField("retry_in")
            return health
        health.attempts = attempts
        health.consecutive_failures = observed.consecutive
        health.outstanding = circuit.outstanding
        if attempts:
            health.failure_rate = failures / attempts
        for share, field in ((0.5, "first_content_p50_ms"), (0.95, "first_content_p95_ms")):
            if (seconds := observed.first_content.percentile(share)) is not None:
                setattr(health, field, seconds * 1000)
        return health
