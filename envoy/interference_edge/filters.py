"""The HTTP filters, one function each, and the list that puts them in order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from interference_edge.contract import Contract, Route
    from interference_edge.settings import EdgeSettings

    Document = dict[str, Any]

EXTENSIONS = "type.googleapis.com/envoy.extensions.filters.http"
CORS = "envoy.filters.http.cors"
TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
HIDDEN = "envoy.filters.http.header_mutation"
_MUTATION = f"{EXTENSIONS}.header_mutation.v3"


def chain(settings: EdgeSettings, contract: Contract, script: str) -> list[Document]:
    """The HTTP filters in the order that a request meets them; an answer meets them in reverse."""
    order: list[Callable[[], Document]] = [
        # First, so that preflights end here and every later answer gets its CORS headers.
        cors,
        # Before the next two, so that they see a gRPC-Web call as the gRPC call it is.
        grpc_web,
        # Before Lua, as answers meet it last: Lua reads what it takes away.
        hidden,
        # Before the transcoder, as it rewrites JSON that the transcoder then reads, and failures that the
        # transcoder wrote.
        lambda: lua(script),
        # Before the router, which must send gRPC.
        lambda: _filter(TRANSCODER, transcoder(settings, contract)),
        # Last by Envoy's own rule: it sends the request.
        router,
    ]
    return [make() for make in order]


def cors() -> Document:
    """Answers preflights and adds CORS headers; the policy is the virtual host's."""
    return _filter(CORS, {"@type": f"{EXTENSIONS}.cors.v3.Cors"})


def cors_policy(settings: EdgeSettings) -> Document:
    """What pages of the allowed origins may do. edge.lua refuses every other origin."""
    return {
        "@type": f"{EXTENSIONS}.cors.v3.CorsPolicy",
        "allow_origin_string_match": [_origin_matcher(origin) for origin in settings.cors_origins],
        "allow_methods": "GET, POST, OPTIONS",
        # The star stands for any header but this one: https://fetch.spec.whatwg.org/#http-access-control-allow-headers
        "allow_headers": "*, authorization",
        "expose_headers": "*",
        "max_age": "7200",
        # https://wicg.github.io/private-network-access/: a public page that the settings name.
        "allow_private_network_access": True,
    }


def grpc_web() -> Document:
    """Turns gRPC-Web into gRPC and back."""
    return _filter("envoy.filters.http.grpc_web", {"@type": f"{EXTENSIONS}.grpc_web.v3.GrpcWeb"})


def hidden() -> Document:
    """Takes from answers what is between Envoy and the workers, on the routes that say `hiding`."""
    return {**_filter(HIDDEN, {"@type": f"{_MUTATION}.HeaderMutation"}), "disabled": True}


def hiding() -> Document:
    """For routes of REST: a caller of gRPC reads those headers."""
    headers = (
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
        "grpc-encoding",
        "grpc-accept-encoding",
    )
    trailers = ("grpc-status", "grpc-message", "grpc-status-details-bin", "retry-after")
    ours = {"remove_on_match": {"key_matcher": {"prefix": "x-interference-"}}}
    mutations = {
        "response_mutations": [{"remove": name} for name in (*headers, "x-interference-status", "trailer")],
        "response_trailers_mutations": [*({"remove": name} for name in trailers), ours],
    }
    return {"@type": f"{_MUTATION}.HeaderMutationPerRoute", "mutations": mutations}


def lua(script: str) -> Document:
    """Runs edge.lua, with what it knows about the contract in front of it."""
    return _filter(
        "envoy.filters.http.lua",
        {
            "@type": f"{EXTENSIONS}.lua.v3.Lua",
            "default_source_code": {"inline_string": script},
            # The route was found by the path that the caller gave, and stays.
            "clear_route_cache": False,
        },
    )


def transcoder(settings: EdgeSettings, contract: Contract, route: Route | None = None) -> Document:
    """Turns REST into gRPC and back; with a route, as the answers of that route are printed.

    Those to a body the worker writes: see `transcoder.py`.
    """
    return {
        "@type": f"{EXTENSIONS}.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": settings.descriptor,
        "services": list(contract.services),
        "convert_grpc_status": True,
        "match_incoming_request_route": True,
        "print_options": _print_options(route),
        # The rest would reach the worker as a call that it does not know.
        "request_validation_options": {
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
        },
        # Model ids hold slashes, which some clients escape.
        "url_unescape_spec": "ALL_CHARACTERS",
        "max_request_body_size": settings.buffer_bytes,
        "max_response_body_size": settings.max_answer_bytes,
    }


def _print_options(route: Route | None) -> Document:
    options: Document = {"preserve_proto_field_names": True}
    if route and route.method == "GET" and not route.http_body:
        # A resource shows all of its fields.
        options["always_print_primitive_fields"] = True
    return options


def off() -> Document:
    """For routes that a filter has nothing to do with."""
    return {
        "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
        "disabled": True,
    }


def router() -> Document:
    """Sends the request to a worker."""
    return _filter(
        "envoy.filters.http.router",
        {"@type": f"{EXTENSIONS}.router.v3.Router", "suppress_envoy_headers": True},
    )


def _filter(name: str, config: Document) -> Document:
    return {"name": name, "typed_config": config}


def _origin_matcher(origin: str) -> Document:
    if origin == "*":
        return {"safe_regex": {"regex": ".*"}}
    if "*" not in origin:
        return {"exact": origin}
    stars = {":*": ":[0-9]+", "*": "[^/]*"}
    parts = re.split(r"(:\*|\*)", origin)
    return {"safe_regex": {"regex": "".join(stars.get(part) or re.escape(part) for part in parts)}}
