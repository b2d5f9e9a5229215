"""What an error becomes on the wire: `ErrorResponse` for its body, `google.rpc.Status` for its trailers."""

import logging
from collections.abc import Iterator

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

from interference.v1.error_pb2 import Error, ErrorResponse
from server.errors import Defect, InterferenceError, InvalidRequest, RateLimited
from server.routing.journal import as_message

_log = logging.getLogger(__name__)
_DOMAIN = "interference"
# gRPC clients refuse trailers above 8 KiB, and Envoy drops the whole connection over longer ones, so all of
# them together stay below: the details in base64, and the message, of which each byte may become three.
_MAX_DETAILS = 4096  # bytes
_MAX_TRAILER = 1024  # bytes of the message as it is written
_MAX_MESSAGE = 1000  # characters
_SHORT = 80  # characters of a message, where the details are too long
_MAX_NAME = 256  # characters of a model's name
_MAX_WORD = 64  # characters of an id or a word for programs


def as_interference(error: Exception) -> InterferenceError:
    """The error as a caller may read it. Whatever is not ours to tell is a defect, and goes to the log."""
    if isinstance(error, InterferenceError):
        return error
    _log.exception("a defect", exc_info=error)
    return Defect("A defect of the server; its log has the rest.")


def response(error: InterferenceError) -> ErrorResponse:
    """The body that REST callers get, and a detail for gRPC ones."""
    return ErrorResponse(
        error=Error(
            message=error.message[:_MAX_MESSAGE],
            type=error.type,
            param=error.param and error.param[:_MAX_NAME],
            code=error.reason[:_MAX_WORD],
        ),
        provider=error.provider and error.provider[:_MAX_WORD],
        model=error.model and error.model[:_MAX_NAME],
        attempts=[as_message(attempt) for attempt in error.attempts],
    )


def message(error: InterferenceError) -> str:
    """The message as a trailer can hold it: other characters than ASCII's are written as `%XX`."""
    left, kept = _MAX_TRAILER, []
    for character in error.message:
        left -= 1 if character.isascii() and character.isprintable() else 3 * len(character.encode())
        if left < 0:
            break
        kept.append(character)
    return "".join(kept)


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
            attempt.model = attempt.model[:_SHORT]
        status = _pack(error, body)
    while status.ByteSize() > _MAX_DETAILS and body.attempts:
        del body.attempts[-1]
        status = _pack(error, body)
    if status.ByteSize() > _MAX_DETAILS:
        body.error.message = body.error.message[:_SHORT]
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
    info = ErrorInfo(reason=error.reason.upper()[:_MAX_WORD], domain=_DOMAIN)
    if error.provider:
        info.metadata["provider"] = error.provider[:_MAX_WORD]
    if error.model:
        info.metadata["model"] = error.model[:_MAX_NAME]
    yield info
    if isinstance(error, InvalidRequest) and error.param:
        fault = BadRequest.FieldViolation(field=error.param[:_MAX_NAME], description=error.message[:_SHORT])
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
