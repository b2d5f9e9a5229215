"""The Messages service."""

from collections.abc import AsyncGenerator

from google.api.httpbody_pb2 import HttpBody

from interference.v1.messages_pb2_grpc import MessagesServicer
from server.ingress.messages.request import read
from server.routing.router import Router
from server.services import translated
from server.services.call import Context


class Messages(MessagesServicer):
    """Answers conversations in Anthropic's Messages format."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def CreateMessage(self, request: HttpBody, context: Context) -> AsyncGenerator[HttpBody, None]:
        """Answers whole or in events, as the request says."""
        return translated.answer(read, request, self._router)
