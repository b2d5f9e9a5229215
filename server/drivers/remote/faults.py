"""What the status of a failed call means: whether the provider could not answer, or the request is wrong.

A server like this one tells in details what REST callers read; any other has its canonical code, and its
words. https://google.aip.dev/193
"""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from interference.v1.error_pb2 import ErrorResponse
from server.drivers import failures
from server.drivers.base import Target
from server.errors import AttemptFailed, Cause, RequestRefused

M = TypeVar("M", bound=Message)
_Code = grpc.StatusCode

# What the reasons of a server like this one mean, whatever its status. Where a request went in a circle the
# models are our own.
_CAUSES: Final[Mapping[str, Cause]] = {
    "loop_detected": "no_such_model",
    "parameter_unsupported": "parameter_unsupported",
}
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_STATUSES: Final = {
    _Code.INVALID_ARGUMENT: 400,
    _Code.FAILED_PRECONDITION: 400,
    _Code.OUT_OF_RANGE: 400,
    _Code.UNAUTHENTICATED: 401,
    _Code.PERMISSION_DENIED: 403,
    _Code.NOT_FOUND: 404,
    _Code.ABORTED: 409,
    _Code.ALREADY_EXISTS: 409,
    _Code.RESOURCE_EXHAUSTED: 429,
    _Code.UNAVAILABLE: 503,
    _Code.DEADLINE_EXCEEDED: 504,
}
# What gRPC itself makes of a connection that breaks; a provider may say the same.
_LOST: Final = (_Code.UNAVAILABLE, _Code.UNKNOWN, _Code.INTERNAL)
_TOO_LARGE: Final = re.compile(r"message larger than max", re.IGNORECASE)
_OWN_LIMIT: Final = re.compile(r"CLIENT: Received message larger than max")
_METADATA: Final = re.compile(r"metadata size exceeds")
_HTTP: Final = re.compile(r"[45][0-9]{2}")
_DETAILS: Final = 64  # of a status; nobody has as many


def read(error: grpc.aio.AioRpcError, target: Target, noun: str, *, connects: bool) -> Exception:
    """The exception for a call's status: `AttemptFailed` or `RequestRefused`.

    `noun` is what a model is called that does what was asked; `connects` says whether there is a connection
    still.
    """
    code, words = error.code(), error.details() or ""
    status = _status(error)
    if status is None and (failed := _own(code, words, connects=connects)) is not None:
        return failed
    if code is _Code.UNIMPLEMENTED:
        return AttemptFailed("no_such_model", f"has no {noun}s")
    if code is _Code.CANCELLED:
        return AttemptFailed("connection_lost", "it ended the call")
    return _told(code, _http_status(error, code), words, status or Status(), target)


def unconnected(error: grpc.aio.AioRpcError, target: Target) -> AttemptFailed:
    """The exception for a call that was made without a connection."""
    told = failures.words(error.details() or "", target)[:500]
    return AttemptFailed("connect_failed", f"cannot connect to {target.row.base_url}: {told}")


def _own(code: _Code, words: str, *, connects: bool) -> AttemptFailed | None:
    """What gRPC says in place of the provider, or of a request that it never gave to it."""
    if code is _Code.RESOURCE_EXHAUSTED and _OWN_LIMIT.search(words):
        return AttemptFailed("broken_answer", "answered with a message that is too large")
    if code is _Code.RESOURCE_EXHAUSTED and _TOO_LARGE.search(words):
        return AttemptFailed("parameter_unsupported", "it takes no request as large as this one")
    if code is _Code.RESOURCE_EXHAUSTED and _METADATA.search(words):
        told = "it takes no headers as large as those of this call"
        return AttemptFailed("parameter_unsupported", told, blame=False)
    if code in _LOST and not connects:
        return AttemptFailed("connection_lost", "the connection was lost before the answer's end")
    return None


def _told(code: _Code, http_status: int, words: str, status: Status, target: Target) -> Exception:
    body = _detail(status, ErrorResponse) or ErrorResponse()
    info = _detail(status, ErrorInfo) or ErrorInfo()
    faults = _detail(status, BadRequest) or BadRequest()
    reason = body.error.code or info.reason.lower()
    param = body.error.param or next((one.field for one in faults.field_violations), "")
    message = body.error.message or words or None
    told = {"message": message, "code": reason, "type": body.error.type, "param": param or None}
    found = failures.read(http_status, _headers(status), {"error": told}, target)
    if not isinstance(found, AttemptFailed | RequestRefused):
        return found
    cause = _CAUSES.get(reason) or ("timed_out" if code is _Code.DEADLINE_EXCEEDED else None)
    if cause is None:
        return found
    said = failures.words(message, target)
    return AttemptFailed(cause, said or "gave no reason", status=http_status, param=found.param)


def _http_status(error: grpc.aio.AioRpcError, code: _Code) -> int:
    """What REST callers of the provider would get."""
    own = _trailers(error).get("x-interference-status")
    return int(own) if isinstance(own, str) and _HTTP.fullmatch(own) else _STATUSES.get(code, 500)


def _headers(status: Status) -> dict[str, str]:
    retry = _detail(status, RetryInfo)
    return {} if retry is None else {"retry-after": str(retry.retry_delay.seconds)}


def _trailers(error: grpc.aio.AioRpcError) -> Mapping[str, Any]:
    return dict(error.trailing_metadata() or ())


def _status(error: grpc.aio.AioRpcError) -> Status | None:
    """The status with its details, where the provider sent one that can be read."""
    packed = _trailers(error).get("grpc-status-details-bin")
    if not isinstance(packed, bytes):
        return None
    try:
        return Status.FromString(packed)
    except DecodeError:
        return None


def _detail(status: Status, kind: type[M]) -> M | None:
    found = kind()
    for packed in status.details[:_DETAILS]:
        try:
            if packed.Unpack(found):
                return found
        except DecodeError:
            continue
    return None
