"""The routes: exactly the contract's paths for REST, and its services for gRPC."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from interference_edge import filters
from interference_edge.openapi import route as openapi_route

if TYPE_CHECKING:
    from interference_edge.contract import Contract, Route
    from interference_edge.settings import EdgeSettings

    Document = dict[str, Any]

WORKERS = "workers"
# Health and reflection are for gRPC tools; each has more than one version.
GRPC_PREFIXES = ("/interference.v1.", "/grpc.health.v1.Health/", "/grpc.reflection.")


def virtual_host(settings: EdgeSettings, contract: Contract) -> Document:
    """All routes. A path that fits none of them is a 404."""
    routes = [_preflight(), *(_grpc(prefix) for prefix in GRPC_PREFIXES), _by_provider()]
    routes += [openapi_route.route(settings.openapi), _other_methods(openapi_route.PATH, "GET")]
    # The exact ones first, as `/v1/models/{model=**}` would take much.
    for path, methods in contract.methods.items():
        routes += [_rest(settings, contract, route) for route in contract.routes if route.path == path]
        routes.append(_other_methods(path, methods))
    routes.append(_nothing())
    return {
        "name": "edge",
        "domains": ["*"],
        "typed_per_filter_config": {filters.CORS: filters.cors_policy(settings)},
        # Where images are found again; what a proxy in front wrote here is not the caller's to choose.
        "request_headers_to_add": [_header("x-forwarded-host", "%REQ(:AUTHORITY)%")],
        # CORS headers depend on who asks, and images are cached.
        "response_headers_to_add": [_header("vary", "origin")],
        # Lua and the transcoder want bodies whole, and a retry wants them again.
        "request_body_buffer_limit": settings.buffer_bytes,
        "routes": routes,
    }


def _preflight() -> Document:
    """For the CORS filter, which answers on routes to a cluster only. edge.lua refuses the others."""
    asks = {"name": "access-control-request-method", "present_match": True}
    options = {"name": ":method", "string_match": {"exact": "OPTIONS"}}
    origin = {"name": "origin", "present_match": True}
    return {"match": {"prefix": "/", "headers": [options, origin, asks]}, "route": _to_workers()}


def _grpc(prefix: str) -> Document:
    content_type = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    return {
        "match": {"prefix": prefix, "headers": [content_type]},
        "route": _to_workers(),
        "typed_per_filter_config": {filters.TRANSCODER: filters.off()},
    }


def _by_provider() -> Document:
    """`/api/{provider}/...`: edge.lua takes the provider out of the path and has the route chosen anew.

    Without this route it would come too late: the filters of a request are those of its first route.
    """
    hiding = {filters.HIDDEN: filters.hiding()}
    return {"match": {"prefix": "/api/"}, "route": _to_workers(), "typed_per_filter_config": hiding}


def _rest(settings: EdgeSettings, contract: Contract, route: Route) -> Document:
    method = {"name": ":method", "string_match": {"exact": route.method}}
    return {
        "match": {**_path(route.path), "headers": [method]},
        "route": _to_workers(),
        "typed_per_filter_config": {
            filters.HIDDEN: filters.hiding(),
            filters.TRANSCODER: filters.transcoder(settings, contract, route),
        },
    }


def _other_methods(path: str, allow: str) -> Document:
    return {
        "match": _path(path),
        "direct_response": {"status": 405},
        "response_headers_to_add": [_header("allow", allow)],
        "typed_per_filter_config": {filters.TRANSCODER: filters.off()},
    }


def _nothing() -> Document:
    """For every other path. Without a route, Envoy's answer would lack its CORS headers."""
    return {
        "match": {"prefix": "/"},
        "direct_response": {"status": 404},
        "typed_per_filter_config": {filters.TRANSCODER: filters.off()},
    }


def _path(template: str) -> Document:
    if "{" not in template:
        return {"path": template}
    return {"safe_regex": {"regex": path_regex(template)}}


def path_regex(template: str) -> str:
    """`/v1/models/{model=**}` as a regular expression; `{name}` is one segment, `**` any number."""
    parts = re.split(r"(\{[^}]*\})", template)
    return "".join(_segment(part) if part.startswith("{") else re.escape(part) for part in parts)


def _segment(variable: str) -> str:
    return ".+" if variable.endswith("=**}") else "[^/]+"


def _to_workers() -> Document:
    # The worker owns the limits of time: it knows the provider's, and the caller's `grpc-timeout`.
    return {"cluster": WORKERS, "timeout": "0s", "retry_policy": _retry_policy()}


def _retry_policy() -> Document:
    """Another worker takes what one has not begun: a worker that has just died is not yet known to be."""
    previous = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": 3,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": f"type.googleapis.com/{previous}"},
            }
        ],
        # A worker that has just died has the fewest calls, and is chosen three times out of four.
        "host_selection_retry_max_attempts": 100,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
    }


def _header(key: str, value: str) -> Document:
    return {
        "header": {"key": key, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
