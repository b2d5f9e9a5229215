"""The connections to providers that speak gRPC: one channel a row, made at its first use and kept."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import grpc
import grpc.aio
import msgspec

from server.drivers import options
from server.errors import AttemptFailed
from server.rows import Name, Row

_TLS: Final = "grpcs://"
_PLAIN: Final = "grpc://"
_UNIX: Final = "unix:"
_WAITING: Final = (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING)


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a row with `grpcs://` says of TLS; names of files in PEM."""

    ca: str = ""  # whom to trust; without it the authorities that gRPC comes with
    cert: str = ""  # our certificate, where the provider asks for one
    key: str = ""  # of that certificate
    server_name: str = ""  # the name in the provider's certificate, where it is not that of the address

    def __post_init__(self) -> None:
        if bool(self.cert) != bool(self.key):
            raise ValueError("cert and key go together")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a row says for this driver alone."""

    tls: Tls | None = None
    providers: tuple[Name, ...] = ()  # of another Interference: whom it is to ask, in this order
    balance: Literal["pick_first", "round_robin"] = "pick_first"  # how the addresses of the host are used
    # Seconds between pings during a call. Servers end a connection with more than one in five minutes:
    # https://github.com/grpc/grpc/blob/master/doc/keepalive.md
    keepalive: Annotated[float, msgspec.Meta(ge=10, le=86_400)] = 320


class Channels:
    """The channels to all rows; an answer may have at most so many bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: dict[tuple[str, str], grpc.aio.Channel] = {}

    def of(self, row: Row) -> grpc.aio.Channel:
        """The channel to a row. Raises `AttemptFailed` where its address or its files cannot be used."""
        key = row.id, row.base_url
        channel = self._kept.get(key)
        if channel is None:
            channel = self._kept[key] = _opened(row, options.of(row, Options), self._limit)
        return channel

    async def close(self) -> None:
        """Closes them."""
        kept = list(self._kept.values())
        self._kept.clear()
        await asyncio.gather(*(channel.close() for channel in kept))


async def connected(channel: grpc.aio.Channel, limit: float) -> bool:
    """Waits until a channel is connected, or known not to be; whether it is. One whose last try has failed
    is known at once: the next try is gRPC's own business.

    Raises `AttemptFailed` where neither comes within `limit` seconds.
    """
    state = channel.get_state(try_to_connect=True)
    if state in _WAITING:
        try:
            async with asyncio.timeout(limit):
                while state in _WAITING:
                    await channel.wait_for_state_change(state)
                    state = channel.get_state(try_to_connect=True)
        except TimeoutError:
            raise AttemptFailed("timed_out", "no connection within the connect limit") from None
    return state is grpc.ChannelConnectivity.READY


def is_connected(channel: grpc.aio.Channel) -> bool:
    """Whether a channel has a connection now."""
    return channel.get_state() is grpc.ChannelConnectivity.READY


def _opened(row: Row, own: Options, limit: int) -> grpc.aio.Channel:
    """https://grpc.github.io/grpc/core/group__grpc__arg__keys.html"""
    settings: list[tuple[str, Any]] = [
        ("grpc.primary_user_agent", "interference"),
        ("grpc.max_receive_message_length", limit),
        ("grpc.max_send_message_length", -1),  # a request has been bounded already
        ("grpc.keepalive_time_ms", round(1000 * own.keepalive)),
        ("grpc.http2.max_pings_without_data", 0),
        # A provider that comes back is found within a second.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.min_reconnect_backoff_ms", max(100, round(1000 * row.limits.connect))),  # of one try
        ("grpc.use_local_subchannel_pool", 1),  # what one row learns of an address is not another's
        ("grpc.lb_policy_name", own.balance),
        ("grpc.service_config_disable_resolution", 1),  # how calls are made is not for the DNS to say
        ("grpc.enable_http_proxy", 0),  # as with every other provider
    ]
    if not row.base_url.startswith(_TLS):
        if own.tls is not None:
            raise AttemptFailed("not_enabled", "options.tls is for an address that begins with grpcs://")
        return grpc.aio.insecure_channel(_address(row.base_url), options=settings)
    tls = own.tls or Tls()
    if tls.server_name:
        settings.append(("grpc.ssl_target_name_override", tls.server_name))
    credentials = grpc.ssl_channel_credentials(
        *(_content(name, getattr(tls, name)) for name in ("ca", "key", "cert"))
    )
    return grpc.aio.secure_channel(_address(row.base_url), credentials, options=settings)


def _address(base_url: str) -> str:
    """The address in gRPC's words: https://github.com/grpc/grpc/blob/master/doc/naming.md

    Raises `AttemptFailed` for one that is none.
    """
    if base_url.startswith(_UNIX):
        return base_url
    for scheme in (_TLS, _PLAIN):
        if base_url.startswith(scheme):
            return f"dns:///{base_url.removeprefix(scheme).rstrip('/')}"
    raise AttemptFailed("connect_failed", "its base_url is not a valid address")


def _content(name: str, path: str) -> bytes | None:
    if not path:
        return None
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        why = (error.strerror or "it is no file").lower()
        raise AttemptFailed("not_enabled", f"options.tls.{name} cannot be read: {path}: {why}") from None
