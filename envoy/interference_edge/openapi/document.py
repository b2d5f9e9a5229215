"""The OpenAPI document of the REST interface, generated from the contract: what REST callers send and get.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING, Any

from interference_edge.openapi import errors, headers, operations, route, schemas
from interference_edge.openapi import library as libraries
from interference_edge.openapi.library import simple

if TYPE_CHECKING:
    from interference_edge.openapi.library import Library

    Document = dict[str, Any]

_INFO = (
    "One door to every model provider. Name one provider, several or none: the service asks them in order, "
    "falls back where one cannot answer, and says in every error who was asked and why each failed. "
    "Paths and bodies are OpenAI's, so that its SDKs work unchanged; `/v1/messages` is Anthropic's."
)
_PROVIDER = (
    "The ids of the providers to try, with spaces between them: for clients that can choose by their base "
    "URL alone. The `/v1` after it may be left out."
)
_KEY = "The key of this service, where it asks for one (`INTERFERENCE_API_KEY`)."


def render(descriptor: bytes) -> str:
    """The document as JSON text. `descriptor` is a FileDescriptorSet with its imports and comments.

    Raises ValueError where it has no comments.
    """
    return json.dumps(document(descriptor), indent=1, ensure_ascii=False) + "\n"


def document(descriptor: bytes) -> Document:
    """The document as data."""
    library = libraries.read(descriptor)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Interference",
            "version": metadata.version("interference"),
            "description": _INFO,
        },
        "servers": [
            {"url": "/", "description": "Any provider, or those that the body names."},
            {
                "url": "/api/{provider}",
                "description": "Only the providers that the base URL names.",
                "variables": {"provider": {"default": "Echo", "description": _PROVIDER}},
            },
        ],
        "security": [{"bearerAuth": []}, {"apiKeyAuth": []}, {}],
        "tags": _tags(library),
        "paths": operations.paths(library) | {route.PATH: operations.document_path()},
        "components": {
            "schemas": schemas.components(library) | {"AnthropicErrorResponse": errors.ANTHROPIC},
            "responses": errors.components(),
            "headers": headers.COMPONENTS,
            "securitySchemes": {
                "bearerAuth": {"type": "http", "scheme": "bearer", "description": _KEY},
                "apiKeyAuth": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-api-key",
                    "description": f"{_KEY} Where Anthropic's clients put it.",
                },
            },
        },
    }


def _tags(library: Library) -> list[Document]:
    services = dict.fromkeys(route.rpc.partition("/")[0] for route in library.routes)
    return [{"name": simple(name)} | schemas.described(library, name) for name in services]
