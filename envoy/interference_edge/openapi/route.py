"""How Envoy itself serves the OpenAPI document: as a file, without a worker."""

from __future__ import annotations

from typing import Any

from interference_edge import filters

Document = dict[str, Any]

PATH = "/openapi.json"
# Of the body that a route of Envoy's own may give; the default, 4096, is less than the document.
MAX_BYTES = 4 * 1024 * 1024


def route(document: str) -> Document:
    """The route that gives the file at the path `document`, which Envoy reads when it starts."""
    get = {"name": ":method", "string_match": {"exact": "GET"}}
    return {
        "match": {"path": PATH, "headers": [get]},
        "direct_response": {"status": 200, "body": {"filename": document}},
        "typed_per_filter_config": {filters.TRANSCODER: filters.off()},
    }


def mapper() -> Document:
    """Keeps the document as it is where `local_reply_config` makes an error of whatever Envoy itself says.

    Envoy says nothing else with the status 200.
    """
    status = {"default_value": 200, "runtime_key": "edge.reply.200"}
    return {
        "filter": {"status_code_filter": {"comparison": {"op": "EQ", "value": status}}},
        "body_format_override": {
            "text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"},
            "content_type": "application/json",
        },
    }
