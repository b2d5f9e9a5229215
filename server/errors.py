"""Every error that this server makes, and what each becomes at its edges.

    Exception
    ├── InterferenceError          ends a call; mapped to a status by `server.interceptors`
    │   ├── InvalidRequest         400  INVALID_ARGUMENT     the request is wrong
    │   ├── RequestRefused         4xx  INVALID_ARGUMENT     a provider says that the request is wrong
    │   ├── Unauthenticated        401  UNAUTHENTICATED      a key of ours is missing or wrong
    │   ├── NotFound               404  NOT_FOUND            no such provider, model or image
    │   ├── RateLimited            429  RESOURCE_EXHAUSTED   every provider answered 429
    │   ├── LoopDetected           508  FAILED_PRECONDITION  the request has been here before
    │   ├── Unavailable            503  UNAVAILABLE          every provider failed
    │   ├── TimedOut               504  DEADLINE_EXCEEDED    a provider's limit passed
    │   │   └── DeadlinePassed                               the caller's did
    │   └── Defect                 500  INTERNAL             our fault
    ├── AttemptFailed              one provider could not answer; routing tries the next
    └── SettingsError              a file or variable is wrong; the command line prints it, exit code 2

What a caller reads never holds a provider's key: drivers redact it before they raise.
"""

from typing import ClassVar, Literal

import grpc
import msgspec

# Why an attempt gave no answer; the contract explains them at `interference.v1.Attempt.cause`. The one that
# answered has none.
Cause = Literal[
    "",
    "not_enabled",
    "no_such_model",
    "parameter_unsupported",
    "circuit_open",
    "overloaded",
    "connect_failed",
    "connection_lost",
    "timed_out",
    "cancelled",
    "rate_limited",
    "key_refused",
    "access_refused",
    "quota_exceeded",
    "conflict",
    "too_early",
    "server_error",
    "broken_answer",
    "refused",
]


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One try to get an answer from one provider, as told to the caller."""

    provider: str
    model: str
    cause: Cause
    message: str
    status: int | None = None
    duration_ms: float | None = None
    param: str | None = None  # the request field at fault, where the provider named one


class InterferenceError(Exception):
    """Ends a call with a status.

    `reason` is a stable lower-case word for programs, `param` the request field at fault,
    `retry_after` seconds, `http_status` what REST callers get where it differs from the class's.
    """

    code: ClassVar[grpc.StatusCode]
    type: ClassVar[str]
    default_reason: ClassVar[str]

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        param: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        attempts: tuple[Attempt, ...] = (),
        retry_after: float | None = None,
        http_status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.param = param
        self.provider = provider
        self.model = model
        self.attempts = attempts
        self.retry_after = retry_after
        self.http_status = http_status


class InvalidRequest(InterferenceError):
    """The request is malformed, or asks for what does not exist."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    type = "invalid_request_error"
    default_reason = "invalid_request"


class RequestRefused(InvalidRequest):
    """A provider says that the request is wrong; goes to the caller as it is, nothing else is tried."""

    default_reason = "refused_by_provider"


class Unauthenticated(InterferenceError):
    """The caller's key for this service is missing or wrong."""

    code = grpc.StatusCode.UNAUTHENTICATED
    type = "authentication_error"
    default_reason = "invalid_api_key"


class NotFound(InterferenceError):
    """There is no such provider, model or image."""

    code = grpc.StatusCode.NOT_FOUND
    type = "not_found_error"
    default_reason = "not_found"


class RateLimited(InterferenceError):
    """Every provider that could answer is limiting us."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    type = "rate_limit_error"
    default_reason = "rate_limited"


class LoopDetected(InterferenceError):
    """Servers like this one ask each other in a circle, or too many of them in a row."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    type = "api_error"
    default_reason = "loop_detected"


class Unavailable(InterferenceError):
    """Every provider that could answer failed."""

    code = grpc.StatusCode.UNAVAILABLE
    type = "api_error"
    default_reason = "all_providers_failed"


class TimedOut(InterferenceError):
    """The caller's deadline or a provider's limit passed."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    type = "timeout_error"
    default_reason = "timed_out"


class DeadlinePassed(TimedOut):
    """The caller's time is over."""

    default_reason = "deadline_passed"


class Defect(InterferenceError):
    """A defect of this server; the log has the rest."""

    code = grpc.StatusCode.INTERNAL
    type = "api_error"
    default_reason = "internal_error"


class AttemptFailed(Exception):
    """A provider could not answer. `blame` says whether that tells of its health, or of what was asked."""

    def __init__(
        self,
        cause: Cause,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        param: str | None = None,
        blame: bool = True,
    ) -> None:
        super().__init__(message)
        self.blame = blame
        self.cause = cause
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.param = param


class SettingsError(Exception):
    """A settings file, a catalog row or an environment variable is wrong; the message says which."""
