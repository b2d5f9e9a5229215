"""The shape of every answer that Envoy itself makes: OpenAI's error object, or plain text for gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interference_edge.openapi import route as openapi_route

if TYPE_CHECKING:
    from interference_edge.contract import Contract

    Document = dict[str, Any]

# Envoy's words, which for 400 say what the transcoder could not read; edge.lua's words, where it refuses.
OWN = "%LOCAL_REPLY_BODY%"
# The member of the body at fault, where edge.lua found one; null otherwise.
PARAM = "%DYNAMIC_METADATA(interference.edge:param)%"
METHOD = "%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)%"
PATH = "%PATH(NQ:ORIG_OR_PATH)%"

# status: (error.type, error.code, error.message)
REPLIES = {
    400: ("invalid_request_error", "invalid_request", OWN),
    403: ("permission_error", "forbidden", f"This is not allowed here. {OWN}"),
    404: ("not_found_error", "path_not_found", f"There is no {METHOD} {PATH}. There is: {{paths}}."),
    405: ("invalid_request_error", "method_not_allowed", f"{PATH} does not take {METHOD}."),
    408: ("timeout_error", "request_timeout", "The request did not arrive in time."),
    413: ("invalid_request_error", "body_too_large", "The body is larger than {limit} bytes."),
    431: ("invalid_request_error", "headers_too_large", "The headers are too large."),
    503: ("api_error", "unavailable", f"No worker could take the call: {OWN}."),
    504: ("timeout_error", "deadline_exceeded", "The answer did not come in time."),
}
# A worker that ended with calls of its own: each of them may have cost something, so the caller decides.
LOST = "The worker that had the call ended before it answered. Nothing of an answer was sent; try again."
# Seconds: workers are started anew at once, and found within half a second.
RETRY_AFTER = 1
NOT_HTTP = "The request is not valid HTTP: %RESPONSE_CODE_DETAILS%."


def local_reply_config(contract: Contract, max_body_bytes: int) -> Document:
    """Envoy takes the first mapper that fits; what fits none is an `api_error`."""
    paths = ", ".join(f"{route.method} {route.path.replace('=**', '')}" for route in contract.routes)
    mappers = [openapi_route.mapper(), _for_grpc(), _for_no_http(), _for_lost()]
    for status, (kind, code, message) in REPLIES.items():
        text = message.replace("{paths}", paths).replace("{limit}", str(max_body_bytes))
        mapper = _mapper(_status("EQ", status), kind, code, text)
        mappers.append(_retried(mapper) if status == 503 else mapper)
    mappers.append(_mapper(_status("LE", 499), "invalid_request_error", "invalid_request", OWN))
    return {"mappers": mappers, "body_format": _error("api_error", "edge_error", OWN)}


def _mapper(condition: Document, kind: str, code: str, message: str) -> Document:
    return {"filter": condition, "body_format_override": _error(kind, code, message)}


def _error(kind: str, code: str, message: str) -> Document:
    return {
        "json_format": {"error": {"message": message, "type": kind, "param": PARAM, "code": code}},
        "content_type": "application/json",
    }


def _for_grpc() -> Document:
    """gRPC callers read a status and a plain `grpc-message`.

    A transcoded call looks like gRPC too by the time that it fails, but has its original path.
    """
    condition = _all(
        _header({"name": "content-type", "string_match": {"prefix": "application/grpc"}}),
        _header({"name": "x-envoy-original-path", "present_match": False}),
    )
    text = {"text_format_source": {"inline_string": OWN}}
    return {"filter": condition, "body_format_override": text}


def _for_no_http() -> Document:
    """What fails before it is a request, and so before it has an id, has no words of its own."""
    no_id = _header({"name": "x-request-id", "present_match": False})
    condition = _all(_status("EQ", 400), no_id)
    return _mapper(condition, "invalid_request_error", "invalid_request", NOT_HTTP)


def _for_lost() -> Document:
    """A call whose worker was gone before the answer began. `UC`: the connection to it ended.

    https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#response-flags
    """
    lost = {"response_flag_filter": {"flags": ["UC"]}}
    return _retried(_mapper(_all(_status("EQ", 503), lost), "api_error", "worker_lost", LOST))


def _retried(mapper: Document) -> Document:
    header = {"key": "retry-after", "value": str(RETRY_AFTER)}
    return {**mapper, "headers_to_add": [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]}


def _all(*conditions: Document) -> Document:
    return {"and_filter": {"filters": list(conditions)}}


def _header(matcher: Document) -> Document:
    return {"header_filter": {"header": matcher}}


def _status(operator: str, status: int) -> Document:
    # Envoy wants a key to override the value by at run time; nothing sets it.
    value = {"default_value": status, "runtime_key": f"edge.reply.{status}"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}
