"""The whole of Envoy's bootstrap document, generated from the settings and the contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from interference_edge import contract as contracts
from interference_edge import filters, lua, replies, routes
from interference_edge.openapi import route as openapi_route

if TYPE_CHECKING:
    from interference_edge.contract import Contract
    from interference_edge.settings import EdgeSettings

    Document = dict[str, Any]

LISTENER = "edge"
SCRIPTS = ("json.lua", "lift.lua", "limit.lua", "failure.lua", "edge.lua")
TYPES = "type.googleapis.com/envoy"
HEADER = """\
# Envoy's configuration. Generated from proto/ and envoy/ by `python -m interference_edge` (`make
# generate`): change those, never this file.
"""


def render(settings: EdgeSettings, descriptor: bytes) -> str:
    """The document as YAML text. `descriptor` is a FileDescriptorSet that includes its imports."""
    contract = contracts.read(descriptor)
    dump = yaml.dump(
        bootstrap(settings, contract), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True
    )
    return HEADER + dump


def bootstrap(settings: EdgeSettings, contract: Contract) -> Document:
    """The document as data."""
    document: Document = {"node": {"id": "edge", "cluster": "interference"}}
    if settings.admin_socket:
        document["admin"] = {"address": {"pipe": {"path": settings.admin_socket, "mode": 0o600}}}
    document["static_resources"] = {
        "listeners": [_listener(settings, contract)],
        "clusters": [_workers(settings)],
    }
    return document


def script(settings: EdgeSettings, contract: Contract) -> str:
    """All of the Lua: the contract as a table, then what reads it."""
    folder = Path(__file__).resolve().parent.parent
    texts = [lua.tables(contract, settings.cors_origins, settings.max_body_bytes)]
    texts += [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return "\n".join(texts)


def _listener(settings: EdgeSettings, contract: Contract) -> Document:
    return {
        "name": LISTENER,
        "address": _address(settings.host, settings.port),
        # A second server on the same port is a mistake; the kernel is to say so.
        "enable_reuse_port": False,
        # Of an answer on its way out; what is buffered of a body that comes is the virtual host's to say.
        "per_connection_buffer_limit_bytes": settings.held_bytes,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _connection_manager(settings, contract),
                    }
                ]
            }
        ],
    }


def _connection_manager(settings: EdgeSettings, contract: Contract) -> Document:
    network = f"{TYPES}.extensions.filters.network"
    return {
        "@type": f"{network}.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "AUTO",
        "server_header_transformation": "PASS_THROUGH",
        "normalize_path": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "max_request_headers_kb": 64,
        "common_http_protocol_options": {"max_headers_count": 100},
        # What nginx speaks to what is behind it, unless told otherwise.
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "localhost"},
        "http2_protocol_options": {
            "initial_stream_window_size": settings.window_bytes,
            "connection_keepalive": _pings(),
        },
        "early_header_mutation_extensions": [_own_headers()],
        "stream_idle_timeout": _seconds(settings.idle_timeout),
        "request_headers_timeout": _seconds(settings.headers_timeout),
        "request_timeout": _seconds(settings.upload_timeout),
        "local_reply_config": replies.local_reply_config(contract, settings.max_body_bytes),
        "route_config": {
            "name": "edge",
            "max_direct_response_body_size_bytes": openapi_route.MAX_BYTES,
            "virtual_hosts": [routes.virtual_host(settings, contract)],
        },
        "http_filters": filters.chain(settings, contract, script(settings, contract)),
    }


def _pings() -> Document:
    """What keeps a connection alive, for all between it and its caller, while an answer takes minutes."""
    return {"interval": "30s", "timeout": "20s"}


def _own_headers() -> Document:
    """Takes from every request the headers that are ours, or Envoy's, to set.

    https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/http/early_header_mutation
    """
    extension = "http.early_header_mutation.header_mutation"
    return {
        "name": f"envoy.{extension}",
        "typed_config": {
            "@type": f"{TYPES}.extensions.{extension}.v3.HeaderMutation",
            "mutations": [
                {"remove_on_match": {"key_matcher": {"prefix": prefix}}}
                for prefix in ("x-interference-", "x-envoy-")
            ],
        },
    }


def _workers(settings: EdgeSettings) -> Document:
    options = f"{TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions"
    endpoints = [{"endpoint": {"address": _worker_address(worker)}} for worker in settings.workers]
    many = 1_000_000
    return {
        "name": routes.WORKERS,
        "type": "STATIC",
        "connect_timeout": "2s",
        "per_connection_buffer_limit_bytes": settings.held_bytes,
        "lb_policy": "LEAST_REQUEST",
        # Better no worker, at once and with a reason, than one that is known to be down.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "health_checks": [_health_check(settings.health_service)],
        # A stream may last minutes, so the defaults (1024) are few; the worker has limits of its own.
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": many,
                    "max_pending_requests": many,
                    "max_requests": many,
                    "max_retries": many,
                }
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "explicit_http_config": {"http2_protocol_options": _windows(settings)},
            }
        },
        "load_assignment": {
            "cluster_name": routes.WORKERS,
            "endpoints": [{"lb_endpoints": endpoints}],
        },
    }


def _windows(settings: EdgeSettings) -> Document:
    """How far a worker may write ahead of a caller who does not read.

    https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/flow_control
    """
    return {
        "initial_stream_window_size": settings.held_bytes,
        # What waits in a stream counts against its connection, too: streams that nobody reads must not use
        # up what the others need.
        "initial_connection_window_size": 2**31 - 1,
    }


def _health_check(service: str) -> Document:
    # Envoy asks seldom while there is no traffic, unless told otherwise.
    return {
        "timeout": "2s",
        "interval": "0.5s",
        "no_traffic_interval": "0.5s",
        "no_traffic_healthy_interval": "0.5s",
        "unhealthy_interval": "0.25s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "grpc_health_check": {"service_name": service} if service else {},
    }


def _worker_address(worker: tuple[str, int] | str) -> Document:
    return {"pipe": {"path": worker}} if isinstance(worker, str) else _address(*worker)


def _address(host: str, port: int) -> Document:
    return {"socket_address": {"address": host, "port_value": port}}


def _seconds(value: float) -> str:
    return f"{value:g}s"


class _Dumper(yaml.SafeDumper):
    """Writes long texts as blocks, and nothing as a reference to something above."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the name is PyYAML's
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
