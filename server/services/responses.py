"""The Responses service."""

from collections.abc import AsyncGenerator

from google.api.httpbody_pb2 import HttpBody

from interference.v1.responses_pb2_grpc import ResponsesServicer
from server.ingress.responses.request import read
from server.routing.router import Router
from server.services import translated
from server.services.call import Context


class Responses(ResponsesServicer):
    """Answers conversations in OpenAI's Responses format."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def CreateResponse(self, request: HttpBody, context: Context) -> AsyncGenerator[HttpBody, None]:
        """Answers whole or in events, as the request says."""
        return translated.answer(read, request, self._router)
