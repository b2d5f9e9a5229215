"""The failures of an operation: one response for each status, in the shape that its callers know.

Which status means what: `server/errors.py`, and `replies.py` for what Envoy itself answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interference_edge.openapi.headers import ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from interference_edge.openapi.facts import Schema

_RETRY: Schema = {
    "retry-after": {
        "description": "In how many seconds to try again, where that is known.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_ALLOW: Schema = {"allow": {"description": "The methods that it takes.", "schema": {"type": "string"}}}

# status: what it means, and the headers that it may have
STATUSES: dict[str, tuple[str, Schema]] = {
    "400": ("The request is malformed or wrong; `error.param` is the member at fault.", ATTEMPTS),
    "401": ("This service asks for a key, and the one given is missing or wrong.", {}),
    "403": ("A web page of an origin that the settings do not name may not call.", {}),
    "404": ("There is no such path, provider, model or image.", ATTEMPTS),
    "405": ("The path does not take this method.", _ALLOW),
    "408": ("The request did not arrive in time.", {}),
    "413": ("The body is too large, for this service or for the provider.", ATTEMPTS),
    "422": ("A provider refused the request as it is: it is well formed, and wrong.", ATTEMPTS),
    "429": (
        "Every provider that could answer is limiting its callers, or the service is full.",
        _RETRY | ATTEMPTS,
    ),
    "431": ("The headers are too large.", {}),
    "4XX": ("A provider refused the request as it is; the status is that of its answer.", ATTEMPTS),
    "500": ("A defect of the service.", {}),
    "503": (
        "Every provider that could answer failed, or the service is being started or stopped.",
        _RETRY | ATTEMPTS,
    ),
    "504": ("The deadline of the caller, or the time limit of every provider, has passed.", ATTEMPTS),
}
_EVERYWHERE = ("400", "401", "403", "404", "405", "431", "500", "503", "504")
_WITH_A_BODY = ("408", "413", "422", "429", "4XX")
_OF_ENVOY = ("400", "403", "405", "431")
SHAPES = {"openai": "ErrorResponse", "anthropic": "AnthropicErrorResponse"}

# https://platform.claude.com/docs/en/api/errors
ANTHROPIC: Schema = {
    "type": "object",
    "description": "The body of every error of a call in Anthropic's dialect.",
    "externalDocs": {"url": "https://platform.claude.com/docs/en/api/errors"},
    "properties": {
        "type": {"type": "string", "const": "error"},
        "error": {
            "type": "object",
            "description": "What went wrong.",
            "properties": {
                "type": {"type": "string", "description": "The class of the error."},
                "message": {"type": "string", "description": "One sentence for a person."},
            },
            "required": ["type", "message"],
        },
        "request_id": {"type": ["string", "null"], "description": "The id of the request."},
    },
    "required": ["type", "error"],
}


def responses(*, has_body: bool, is_open: bool = False, shape: str | None = None) -> Schema:
    """The failures of a call of ours, by status, as references; `is_open` where it asks for no key."""
    statuses = (*_EVERYWHERE, *_WITH_A_BODY) if has_body else _EVERYWHERE
    return _references((one for one in statuses if not (is_open and one == "401")), shape or "openai")


def responses_of_envoy() -> Schema:
    """The failures of what Envoy answers without a worker."""
    return _references(_OF_ENVOY, "openai")


def components() -> Schema:
    """What the references refer to."""
    return {
        _name(status, shape): _response(schema, text, headers)
        for shape, schema in SHAPES.items()
        for status, (text, headers) in STATUSES.items()
    }


def _references(statuses: Iterable[str], shape: str) -> Schema:
    return {
        status: {"$ref": f"#/components/responses/{_name(status, shape)}"} for status in sorted(statuses)
    }


def _name(status: str, shape: str) -> str:
    return f"{'Anthropic' if shape == 'anthropic' else ''}Error{status}"


def _response(schema: str, text: str, headers: Schema) -> Schema:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": text, **({"headers": headers} if headers else {}), "content": content}
