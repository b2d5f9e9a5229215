"""`interference providers`: who there is, with what is missing, their models and their health.

As the running server has it, where one answers; otherwise the enabled providers are asked for their models.
"""

import socket
import sys
from collections.abc import Iterable
from contextlib import aclosing

import grpc
import uvloop

from interference.v1.providers_pb2 import (
    GetProviderRequest,
    Health,
    ProviderDetails,
    WatchProvidersRequest,
)
from interference.v1.providers_pb2_grpc import ProvidersStub
from server import app, transport
from server.config import Secrets, Settings, address, reachable
from server.routes import Catalog
from server.routing.discovery import Discovery
from server.routing.roster import Provider

_READY = 2.0  # seconds in which a server must be there
_LIMIT = 10.0  # seconds for one answer of it
_WIDEST = 60  # characters of a column
_NAMED = 3  # models

Metadata = tuple[tuple[str, str], ...]


def show(settings: Settings, catalog: Catalog, secrets: Secrets, *, watch: bool) -> int:
    """Prints the table, and with `watch` each change of health until Ctrl-C. Returns the exit code."""
    host = reachable(settings.host)
    at = address(host, settings.port)
    if not _listens(host, settings.port):
        return _show_without(at, settings, catalog, secrets, watch=watch)
    with grpc.insecure_channel(at) as channel:
        key = next(iter(secrets.own), "")
        metadata = (("authorization", f"Bearer {key}"),) if key else ()
        try:
            _show_with(channel, at, metadata)
            while watch:  # a server that is only started anew is there at once
                _watch(channel, at, metadata)
        except grpc.RpcError as error:
            told = error.details() if isinstance(error, grpc.Call) else error
            if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.UNAUTHENTICATED:
                told = f"{told} Here it is taken from INTERFERENCE_API_KEY."
            _say(f"The server at {at} says: {told}")
            return 1
    return 0


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _READY).close()
    except OSError:
        return False
    return True


def _show_with(channel: grpc.Channel, at: str, metadata: Metadata) -> None:
    stub = ProvidersStub(channel)
    changes = stub.WatchProviders(WatchProvidersRequest(), metadata=metadata, timeout=_LIMIT)
    ids = dict.fromkeys(health.provider for health in next(changes).health)
    _say(f"As the server at {at} has it:")
    _print_table(
        _line(stub.GetProvider(GetProviderRequest(provider=one), metadata=metadata, timeout=_LIMIT))
        for one in ids
    )
    changes.cancel()


def _watch(channel: grpc.Channel, at: str, metadata: Metadata) -> None:
    """Prints each change, until the server ends. Raises where there is none."""
    changes = ProvidersStub(channel).WatchProviders(WatchProvidersRequest(), metadata=metadata)
    next(changes)  # all there is, which is known
    _say(f"Watching {at}; Ctrl-C ends it.")
    try:
        for told in changes:
            for health in told.health:
                _print(_change(health))
    except grpc.RpcError as error:
        if not isinstance(error, grpc.Call) or error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise


def _show_without(at: str, settings: Settings, catalog: Catalog, secrets: Secrets, *, watch: bool) -> int:
    if watch:
        _say(f"No server answers at {at}: there is nothing to watch.")
        return 1
    _say(f"No server answers at {at}. Asking the enabled providers for their models ...")

    async def find() -> list[Provider]:
        async with (
            transport.connect(settings.max_answer_bytes) as client,
            aclosing(app.build_roster(catalog, secrets, client)) as roster,
        ):
            await Discovery(roster).first()
            return list(roster)

    _print_table(
        (one.id, one.reason or "yes", "-", _named(list(one.operations()))) for one in uvloop.run(find())
    )
    return 0


def _line(details: ProviderDetails) -> tuple[str, ...]:
    models = dict.fromkeys(
        (*details.models, *details.text_models, *details.embedding_models, *details.image_models)
    )
    ill = [health for health in details.health if health.state not in ("closed", "disabled")]
    told = "; ".join(_state(health) for health in ill) or ("well" if details.enabled else "-")
    return details.id, "yes" if details.enabled else details.reason, told, _named(list(models))


def _state(health: Health) -> str:
    again = ""
    if health.HasField("retry_in"):
        due = f"in {health.retry_in:.0f} s" if health.retry_in > 0 else "with the next request"
        again = f", asked again {due}"
    return f"{f'{health.model} ' if health.model else ''}{health.state}{again}"


def _change(health: Health) -> str:
    who = f"{health.provider}/{health.model}" if health.model else health.provider
    why = f": {health.reason}" if health.reason else ""
    again = f" (asked again in {health.retry_in:.1f} s)" if health.HasField("retry_in") else ""
    return f"{who} {health.state}{why}{again}"


def _named(models: list[str]) -> str:
    more = f" and {len(models) - _NAMED} more" if len(models) > _NAMED else ""
    return ", ".join(models[:_NAMED]) + more or "-"


def _print_table(lines: Iterable[tuple[str, ...]]) -> None:
    rows = [("ID", "ENABLED", "HEALTH", "MODELS"), *lines]
    widths = [min(max(len(row[column]) for row in rows), _WIDEST) for column in range(3)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, (*widths, 0), strict=True))
        _print("  ".join(cells).rstrip())


def _print(line: str) -> None:
    sys.stdout.write(f"{_printable(line)}\n")
    sys.stdout.flush()


def _say(line: str) -> None:
    sys.stderr.write(f"{_printable(line)}\n")


def _printable(line: str) -> str:
    """Models' names and reasons are others' words; none of them is to steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in line)
