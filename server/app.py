"""The composition root of a worker: builds everything, nothing else does."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import cast

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from interference.v1 import (
    chat_pb2,
    completions_pb2,
    embeddings_pb2,
    images_pb2,
    messages_pb2,
    models_pb2,
    providers_pb2,
    responses_pb2,
)
from interference.v1.chat_pb2_grpc import add_ChatServicer_to_server
from interference.v1.completions_pb2_grpc import add_CompletionsServicer_to_server
from interference.v1.embeddings_pb2_grpc import add_EmbeddingsServicer_to_server
from interference.v1.images_pb2_grpc import add_ImagesServicer_to_server
from interference.v1.messages_pb2_grpc import add_MessagesServicer_to_server
from interference.v1.models_pb2_grpc import add_ModelsServicer_to_server
from interference.v1.providers_pb2_grpc import add_ProvidersServicer_to_server
from interference.v1.responses_pb2_grpc import add_ResponsesServicer_to_server
from server import drivers, transport
from server.config import MIB, Secrets, Settings, address, with_base_url
from server.control import EDGE, Order
from server.interceptors import Edge
from server.media import Media
from server.routes import Catalog
from server.routing.discovery import Discovery
from server.routing.health import Board, Peers
from server.routing.roster import Provider, Roster
from server.routing.router import Router
from server.services.chat import Chat
from server.services.completions import Completions
from server.services.embeddings import Embeddings
from server.services.images import Images
from server.services.lines import Lines
from server.services.messages import Messages
from server.services.models import Models
from server.services.providers import Providers
from server.services.responses import Responses

_log = logging.getLogger(__name__)
_SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (providers_pb2, "Providers"),
        (models_pb2, "Models"),
        (chat_pb2, "Chat"),
        (completions_pb2, "Completions"),
        (embeddings_pb2, "Embeddings"),
        (images_pb2, "Images"),
        (responses_pb2, "Responses"),
        (messages_pb2, "Messages"),
    )
)
_WORDS = 1.0  # seconds for the last words to running calls
_LEFT = 3.0  # seconds in which Envoy, which asks twice a second, has seen that a worker leaves
_NOTICE = 1.0  # seconds that balancers have to see NOT_SERVING before new calls are refused


@dataclass(frozen=True, slots=True)
class Worker:
    """A running server."""

    port: int
    server: grpc.aio.Server
    health: health.aio.HealthServicer
    edge: Edge
    board: Board

    async def leave(self, grace: float) -> None:
        """Ends after another has begun to listen on the same port, which gets all new connections.

        Envoy, which knows the other by another address, is told first and sends no more calls. Who calls
        without it is served until no call is running, or until `grace` seconds are over; then their
        connections are asked to go. Calls that are not done by then are told that the server ends.
        """
        await self.health.set(EDGE, health_pb2.HealthCheckResponse.NOT_SERVING)
        await asyncio.sleep(_LEFT)
        self.board.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.edge.quiet()
        await self.drain(0)

    async def drain(self, grace: float) -> None:
        """Says NOT_SERVING, then takes no new calls, then waits for the running ones.

        Those that are not done within `grace` seconds are told that the server ends.
        """
        await self.health.enter_graceful_shutdown()
        self.board.close()
        await asyncio.sleep(min(_NOTICE, grace))
        stopping = asyncio.create_task(self.server.stop(grace + _WORDS))
        await asyncio.wait((stopping,), timeout=grace)
        self.edge.end_calls()
        await stopping


def build_roster(
    catalog: Catalog,
    secrets: Secrets,
    client: transport.Transport,
    peers: Peers | None = None,
    workers: int = 1,
) -> Roster:
    """All providers of the catalog with their keys and drivers, as one of so many workers has them."""
    made = drivers.build(client)
    providers = (
        Provider(
            with_base_url(row, secrets),
            made[row.driver],
            secrets.key(row.key_env) if row.key_env else None,
            workers,
        )
        for row in catalog.providers
    )
    return Roster(providers, catalog.routes, Board(peers))


@asynccontextmanager
async def worker(order: Order, secrets: Secrets, peers: Peers) -> AsyncIterator[Worker]:
    """Serves gRPC on a port of the settings' host (0: a free one) until the block ends."""
    settings, catalog = order.settings, order.catalog
    async with (
        _log_of_calls(settings) as log,
        transport.connect(settings.max_answer_bytes) as client,
        aclosing(build_roster(catalog, secrets, client, peers, settings.worker_count)) as roster,
    ):
        discovery = Discovery(roster)
        await discovery.start()
        edge = Edge(secrets.own, log, order.server)
        server = _server(settings, edge, joins=order.joins)
        router = Router(roster, settings.load)
        media = Media(settings.media_dir, settings.media.max_bytes)
        named = cast("grpc.aio.Server", _ByName(server))
        add_ProvidersServicer_to_server(Providers(roster), named)
        add_ModelsServicer_to_server(Models(roster), named)
        add_ChatServicer_to_server(Chat(router), named)
        add_CompletionsServicer_to_server(Completions(router), named)
        add_EmbeddingsServicer_to_server(Embeddings(router), named)
        add_ResponsesServicer_to_server(Responses(router), named)
        add_MessagesServicer_to_server(Messages(router), named)
        add_ImagesServicer_to_server(Images(router, media, settings.public_url), named)
        checks = await _add_health(named)
        names = (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflected = reflection.aio.ReflectionServicer(names)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflected, named)
        bound = server.add_insecure_port(address(settings.host, order.port))
        if order.socket:
            server.add_insecure_port(f"unix:{order.socket}")
        await server.start()
        try:
            yield Worker(bound, server, checks, edge, roster.board)
        finally:
            await server.stop(0)
            await discovery.stop()


@asynccontextmanager
async def _log_of_calls(settings: Settings) -> AsyncIterator[Callable[[bytes], None] | None]:
    """What takes the lines of calls; at the end the last of them are written."""
    if not settings.log_calls:
        yield None
        return
    lines = Lines(sys.stderr.fileno())
    try:
        yield lines.add
    finally:
        await asyncio.to_thread(lines.close)


class _ByName:
    """A server as the generated code sees it. Its handlers are found by the name of the method.

    grpc.aio waits for a call of each registered method with a task of its own, and looks at all of these
    tasks again with every call: some 30 us of it, for methods as many as ours.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Those are the same handlers once more."""


def _server(settings: Settings, edge: Edge, *, joins: bool) -> grpc.aio.Server:
    # A body of REST may grow as it becomes a message of JSON texts; an answer has its own limit.
    return grpc.aio.server(
        interceptors=[edge],
        options=[
            ("grpc.so_reuseport", int(joins)),
            ("grpc.max_receive_message_length", 2 * settings.max_body_bytes + MIB),
            ("grpc.max_send_message_length", 2 * settings.max_answer_bytes),
            ("grpc.max_metadata_size", 64 * 1024),
            # Pings keep the connection of a caller whose answer takes minutes.
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.http2.max_pings_without_data", 0),
            # And theirs are welcome: by default a caller who pings while it waits is cut off.
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ],
    )


async def _add_health(server: grpc.aio.Server) -> health.aio.HealthServicer:
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    for name in ("", EDGE, *_SERVICES):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    return checks
