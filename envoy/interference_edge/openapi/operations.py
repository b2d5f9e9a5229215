"""The routes of the contract as OpenAPI operations.

https://spec.openapis.org/oas/v3.1.0#operation-object
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from interference_edge.contract import HTTP_BODY, PACKAGE
from interference_edge.openapi import comments, errors, facts, headers, schemas
from interference_edge.openapi.library import ERROR, simple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interference_edge.contract import Route
    from interference_edge.openapi.facts import Schema
    from interference_edge.openapi.library import Library

_JSON = "application/json"
_EVENTS = "text/event-stream"
_VARIABLE = re.compile(r"\{(\w+)(=\*\*)?\}")
_ANY_PROVIDER: list[Schema] = [{"url": "/"}]


def paths(library: Library) -> Schema:
    """All operations by path and method, in the order of the contract."""
    found: dict[str, Schema] = {}
    for route in library.routes:
        item = found.setdefault(_VARIABLE.sub(r"{\1}", route.path), {})
        item[route.method.lower()] = _operation(library, route, first=_is_first(route, library.routes))
        if not route.path.startswith("/v1/"):
            item["servers"] = _ANY_PROVIDER
    return found


def document_path() -> Schema:
    """The operation that gives this document."""
    answer = {"description": "The document.", "content": {_JSON: {"schema": {"type": "object"}}}}
    return {
        "get": {
            "operationId": "GetOpenAPI",
            "summary": "Gives this document.",
            "security": [],
            "responses": {"200": answer} | errors.responses_of_envoy(),
        },
        "servers": _ANY_PROVIDER,
    }


def _operation(library: Library, route: Route, *, first: bool) -> Schema:
    service, method = _names(route)
    text, address = comments.link(library.comments[f"{PACKAGE}.{service}.{method}"])
    if sibling := library.streams.get(route.rpc):
        text += f"\n\n{library.comments[sibling.replace('/', '.')]}"
    address = address or comments.link(library.comments[f"{PACKAGE}.{service}"])[1]
    is_open = f"{service}/{method}" in facts.OPEN_CALLS
    failures = errors.responses(has_body=route.has_body, is_open=is_open, shape=route.error_shape)
    parameters = [*_parameters(library, route), *_headers(route)]
    return {
        "operationId": method if first else method + _suffix(route.path),
        "summary": comments.summary(text),
        "description": text,
        "tags": [service],
        **({"externalDocs": {"url": address}} if address and route.request == HTTP_BODY else {}),
        **({"security": []} if is_open else {}),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": _body(library, route)} if route.has_body else {}),
        "responses": _answers(library, route) | failures,
    }


def _names(route: Route) -> tuple[str, str]:
    service, _, method = route.rpc.partition("/")
    return simple(service), method


def _is_first(route: Route, routes: tuple[Route, ...]) -> bool:
    return next(other for other in routes if other.rpc == route.rpc) is route


def _suffix(path: str) -> str:
    """What tells the ids of one method's operations apart: `At_images_generations`."""
    return "At_" + "_".join(re.findall(r"\w+", path.removeprefix("/v1/")))


# --- What callers send -----------------------------------------------------------------------------


def _parameters(library: Library, route: Route) -> Iterator[Schema]:
    for name, rest in _VARIABLE.findall(route.path):
        comment = library.comments[f"{route.request}.{name}"]
        if rest:
            comment += " Slashes in it may be escaped (`%2F`)."
        limits = facts.LIMITS.get(f"{simple(route.request)}.{name}", {})
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": comment,
            "schema": {"type": "string", "minLength": 1} | limits,
        }


def _headers(route: Route) -> Iterator[Schema]:
    if route.has_body:
        yield headers.TIMEOUT
    if route.http_body and not route.has_body:
        yield {
            "name": "if-none-match",
            "in": "header",
            "description": "The `etag` of an earlier answer; 304 where it is still the same.",
            "schema": {"type": "string"},
        }


def _body(library: Library, route: Route) -> Schema:
    if route.request == HTTP_BODY:
        schema = facts.DIALECTS["/".join(_names(route))]
    else:
        schema = schemas.request(library, route.request)
    return {"required": True, "content": {_JSON: {"schema": schema}}}


# --- What callers get ------------------------------------------------------------------------------


def _answers(library: Library, route: Route) -> Schema:
    if route.http_body and not route.has_body:
        return _file()
    if route.http_body:
        members = facts.DIALECT_ANSWERS["/".join(_names(route))]
        content: Schema = {
            _JSON: {"schema": {"type": "object", "required": list(members)}},
            _EVENTS: {"schema": _NAMED_EVENT},
        }
        return {"200": {"description": _WITH_STREAM, "headers": headers.ANSWERED, "content": content}}
    schema = schemas.answer(library.output[route.rpc])
    if route.server_streaming:
        schema = {"type": "array", "items": schema}
    content = {_JSON: {"schema": schema}}
    if sibling := library.streams.get(route.rpc):
        content[_EVENTS] = {"schema": _events(library.output[sibling])}
    text = _WITH_STREAM if len(content) > 1 else comments.link(_told(library, route))[0]
    told = {"headers": headers.ANSWERED} if route.has_body else {}
    return {"200": {"description": text, **told, "content": content}}


_NAMED_EVENT: Schema = {
    "type": "object",
    "description": "One of the server-sent events, which have names, as the vendor has them.",
    "properties": {
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": _JSON, "contentSchema": {"type": "object"}},
    },
    "required": ["event", "data"],
}
_WITH_STREAM = 'The answer: one JSON object, or with `"stream": true` server-sent events.'


def _events(chunk: str) -> Schema:
    """One event, as OpenAPI 3.2 describes those of a stream."""
    content = {"anyOf": [schemas.answer(chunk), schemas.answer(ERROR)]}
    data: Schema = {
        "type": "string",
        "description": "A chunk, or the error that ends the stream. `[DONE]` follows the last chunk.",
        "anyOf": [
            {"contentMediaType": _JSON, "contentSchema": content},
            {"const": "[DONE]"},
        ],
    }
    return {
        "type": "object",
        "description": "One of the server-sent events.",
        "properties": {"data": data},
        "required": ["data"],
    }


def _told(library: Library, route: Route) -> str:
    return library.comments[library.output[route.rpc]]


def _file() -> Schema:
    cached = {
        "etag": {"description": "Names this content.", "schema": {"type": "string"}},
        "cache-control": {"description": "It never changes.", "schema": {"type": "string"}},
    }
    return {
        "200": {
            "description": "The file.",
            "headers": cached,
            "content": {kind: {} for kind in facts.IMAGE_TYPES},
        },
        "304": {"description": "It is still the same."},
    }
