"""Connects to a plug-in, and finds out what can be asked of it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from interference.v1.models_pb2 import ListModelsRequest, Model
from server.errors import SettingsError
from server.verify.case import Fault, shown
from server.verify.peer import OPTIONS, Metadata, Peer, Refused
from server.verify.services import DRAW, LIST, SERVICES, Method

_WITHOUT_TLS = "without TLS. Is it the plug-in's port? If it wants TLS, say --tls."
_WITH_TLS = "with this TLS. Does it want --ca, --cert and --key, or is it without TLS?"
_PLAIN, _SECURE, _UNIX = "grpc://", "grpcs://", "unix:"
_READY = 5.0  # seconds in which a connection must stand
_UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


@dataclass(frozen=True)
class Tls:
    """How the connection is encrypted, by files in PEM: whom to trust, and who we are."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None


@asynccontextmanager
async def connected(address: str, tls: Tls | None, limit: float, metadata: Metadata) -> AsyncIterator[Peer]:
    """A connection to a plug-in at an address as rows have it, or without `grpc://`. Raises `SettingsError`
    where there is none to be had.
    """
    target = address.removeprefix(_PLAIN).removeprefix(_SECURE).rstrip("/")
    tls = Tls() if tls is None and address.startswith(_SECURE) else tls
    if not target.startswith(_UNIX):
        await _listens(target)
    async with _channel(target, tls) as channel:
        await _ready(channel, address, tls)
        yield Peer(channel, limit, metadata)


async def explored(peer: Peer, wanted: frozenset[str], model: str) -> Peer:
    """The same with what it has of the services wanted, and the model to ask of each: the named one, or
    the first of its list that does it. Raises `SettingsError` where a model must be named.
    """
    methods = [method for name in SERVICES for method in SERVICES[name].methods]
    found = await asyncio.gather(*(_has(peer, method) for method in methods))
    had = frozenset(method for method, there in zip(methods, found, strict=True) if there)
    listed = await _listed(peer) if LIST in had else []
    models: dict[str, str] = {}
    lacking: dict[str, str] = {}
    for name in sorted(wanted):
        service = SERVICES[name]
        if not had.intersection(service.methods):
            lacking[name] = f"{service.label} is UNIMPLEMENTED"
        elif service.capability:
            picked = _picked(service.capability, listed, model)
            if picked is None:
                who = f"{shown(model)} is not" if model else "none is"
                lacking[name] = f"of its models {who} listed with the capability {service.capability}"
            elif not picked and DRAW not in service.methods:
                raise SettingsError("name a model with --model: the plug-in lists none")
            else:
                models[name] = picked
    return replace(peer, wanted=wanted, had=had, named=model, models=models, lacking=lacking)


def _picked(capability: str, listed: list[Model], named: str) -> str | None:
    """The model to ask for this; empty where none is known, None where no model does it."""
    told = [model for model in listed if model.capabilities]
    able = [model.id for model in told if capability in model.capabilities]
    if named:
        lacks = any(model.id == named for model in told) and named not in able
        return None if lacks else named
    if told:
        return able[0] if able else None
    return listed[0].id if listed else ""


async def _has(peer: Peer, method: Method[Any]) -> bool:
    """Whether it has a method. An empty request may be refused as it likes, so long as not as this."""
    try:
        await peer.call(method, b"")
    except Refused as refused:
        return refused.code is not _UNIMPLEMENTED
    except Fault:
        return True
    return True


async def _listed(peer: Peer) -> list[Model]:
    try:
        [listed] = await peer.call(LIST, ListModelsRequest())
    except (Refused, Fault):  # which is a case of its own
        return []
    return list(listed.data)


async def _listens(address: str) -> None:
    """Raises `SettingsError` where nobody takes connections, in the words of the system."""
    host, _, port = address.rpartition(":")
    why = ""
    if not host or not port.isdigit():
        raise SettingsError(f"{shown(address)} is no address: say HOST:PORT or unix:/PATH")
    try:
        async with asyncio.timeout(_READY):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.close()
    except TimeoutError:
        why = f"no answer in {_READY:g} s"
    except socket.gaierror as error:
        why = error.strerror or "no such host"
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        why = os.strerror(number) if number else str(error)
    if why:
        raise SettingsError(f"cannot connect to {address}: {why}. Is the plug-in running, and there?")


def _channel(address: str, tls: Tls | None) -> grpc.aio.Channel:
    if tls is None:
        return grpc.aio.insecure_channel(address, options=OPTIONS)
    credentials = grpc.ssl_channel_credentials(_file(tls.ca), _file(tls.key), _file(tls.cert))
    return grpc.aio.secure_channel(address, credentials, options=OPTIONS)


def _file(name: str | None) -> bytes | None:
    try:
        return Path(name).read_bytes() if name else None
    except OSError as error:
        raise SettingsError(f"cannot read {name}: {error.strerror}") from None


async def _ready(channel: grpc.aio.Channel, address: str, tls: Tls | None) -> None:
    """Waits until the connection stands, for as long as it may or until it has failed."""
    state = channel.get_state(try_to_connect=True)
    try:
        async with asyncio.timeout(_READY):
            while state not in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE):
                await channel.wait_for_state_change(state)
                state = channel.get_state()
    except TimeoutError:
        pass
    if state is not grpc.ChannelConnectivity.READY:
        hint = _WITH_TLS if tls else _WITHOUT_TLS
        raise SettingsError(f"what listens at {address} does not speak gRPC {hint}")
