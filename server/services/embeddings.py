"""The Embeddings service."""

from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse
from interference.v1.embeddings_pb2_grpc import EmbeddingsServicer
from server.routing.router import Router
from server.services import call, validate
from server.services.call import Context


class Embeddings(EmbeddingsServicer):
    """Turns texts into vectors."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def CreateEmbeddings(
        self, request: CreateEmbeddingsRequest, context: Context
    ) -> CreateEmbeddingsResponse:
        """Embeds every input."""
        call.choose(request)
        validate.embeddings(request)
        return await self._router.answer(request, call.current().journal)
