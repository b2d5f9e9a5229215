"""What an error becomes on the wire: `ErrorResponse` for its body, `google.rpc.Status` for its trailers."""

from collections.abc import Iterator

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

from interference.v1.error_pb2 import Attempt, Error, ErrorResponse
from server.errors import InterferenceError, InvalidRequest, RateLimited

_DOMAIN = "interference"
_MAX_MESSAGE = 1000  # characters
# gRPC clients refuse trailers above 8 KiB, in which this is base64 next to the message.
_MAX_DETAILS = 4096
_SHORT = 80  # characters of an attempt's message, where the details are too long


def response(error: InterferenceError) -> ErrorResponse:
    """The body that REST callers get, and a detail for gRPC ones."""
    return ErrorResponse(
        error=Error(
            message=error.message[:_MAX_MESSAGE],
            type=error.type,
            param=error.param,
            code=error.reason,
        ),
        provider=error.provider,
        model=error.model,
        attempts=[
            Attempt(
                provider=attempt.provider,
                model=attempt.model,
                cause=attempt.cause,
                message=attempt.message,
                status=attempt.status,
                duration_ms=attempt.duration_ms,
            )
            for attempt in error.attempts
        ],
    )


def trailers(error: InterferenceError) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata of a failed call; the last two are for the edge."""
    found: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", _status(error).SerializeToString())]
    if error.http_status is not None:
        found.append(("x-interference-status", str(error.http_status)))
    if error.retry_after is not None:
        found.append(("retry-after", str(max(1, round(error.retry_after)))))
    return tuple(found)


def _status(error: InterferenceError) -> Status:
    """The canonical status with its details, short enough for a trailer."""
    body = response(error)
    status = _pack(error, body)
    if status.ByteSize() > _MAX_DETAILS:
        for attempt in body.attempts:
            attempt.message = attempt.message[:_SHORT]
        status = _pack(error, body)
    while status.ByteSize() > _MAX_DETAILS and body.attempts:
        del body.attempts[-1]
        status = _pack(error, body)
    return status


def _pack(error: InterferenceError, body: ErrorResponse) -> Status:
    code, _ = error.code.value
    status = Status(code=code, message=body.error.message)
    for detail in (body, *_details(error)):
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _details(error: InterferenceError) -> Iterator[Message]:
    info = ErrorInfo(reason=error.reason.upper(), domain=_DOMAIN)
    if error.provider:
        info.metadata["provider"] = error.provider
    if error.model:
        info.metadata["model"] = error.model
    yield info
    if isinstance(error, InvalidRequest) and error.param:
        fault = BadRequest.FieldViolation(field=error.param, description=error.message[:200])
        yield BadRequest(field_violations=[fault])
    if error.retry_after is not None:
        yield RetryInfo(retry_delay=Duration(seconds=max(1, round(error.retry_after))))
    if isinstance(error, RateLimited):
        yield QuotaFailure(
            violations=[
                QuotaFailure.Violation(subject=a.provider, description=a.message[:_SHORT])
                for a in error.attempts[:8]
            ]
        )
