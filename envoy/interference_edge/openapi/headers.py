"""The headers of model calls: how long a caller would wait, and who was asked.

https://spec.openapis.org/oas/v3.1.0#header-object
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interference_edge.openapi.facts import Schema

TIMEOUT: Schema = {
    "name": "x-request-timeout",
    "in": "header",
    "description": "How long the whole call may take, all attempts together: a number of seconds, or one "
    "with a unit (`ms`, `s`, `m`). Where the body has a `timeout` as well, the sooner counts.",
    # As limit.lua reads it.
    "schema": {"type": "string", "maxLength": 18, "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m)?$"},
}

COMPONENTS: Schema = {
    "Provider": {
        "description": "The id of the provider that answered.",
        "schema": {"type": "string"},
    },
    "Model": {
        "description": "The model that answered, by the provider's own name. Spaces, `%` and bytes that "
        "are no printable ASCII are written as `%XX`.",
        "schema": {"type": "string", "maxLength": 256},
    },
    "Attempts": {
        "description": "Every attempt in the order in which they ended, a list of strings (RFC 9651): the "
        "provider's id, with `cause` where it gave no answer and `duration_ms` where it was called: "
        '`"A";cause=rate_limited;duration_ms=3.1, "B";duration_ms=12.0`.',
        "schema": {"type": "string"},
    },
}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/headers/{name}"}


ATTEMPTS: Schema = {"x-interference-attempts": _reference("Attempts")}
ANSWERED: Schema = {
    "x-interference-provider": _reference("Provider"),
    "x-interference-model": _reference("Model"),
    **ATTEMPTS,
}
