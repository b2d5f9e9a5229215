"""What Google's errors mean."""

from typing import Any

import pytest

from server.errors import AttemptFailed, RequestRefused
from tests.server.drivers.gemini.dialect import DIALECT, KEY, answer, target

_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_RETRY = "type.googleapis.com/google.rpc.RetryInfo"


def fault(status: int, code: str, *details: Any, message: str = "No.", **headers: str) -> Any:
    error = {"code": status, "message": message, "status": code, "details": list(details)}
    return DIALECT.failure(answer({"error": error}, status, **headers), target())


@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [
        (401, "UNAUTHENTICATED", "key_refused"),
        (403, "PERMISSION_DENIED", "access_refused"),
        (404, "NOT_FOUND", "no_such_model"),
        (429, "RESOURCE_EXHAUSTED", "rate_limited"),
        (400, "FAILED_PRECONDITION", "access_refused"),
        (499, "CANCELLED", "server_error"),
        (500, "INTERNAL", "server_error"),
        (503, "UNAVAILABLE", "server_error"),
        (504, "DEADLINE_EXCEEDED", "server_error"),
        (400, "INVALID_ARGUMENT", None),
    ],
)
def test_a_status_says_who_is_to_blame(status: int, code: str, cause: str | None) -> None:
    error = fault(status, code)
    if cause is None:
        assert isinstance(error, RequestRefused)
        assert (error.reason, error.http_status) == (code, status)
    else:
        assert isinstance(error, AttemptFailed)
        assert (error.cause, error.status) == (cause, status)


def test_a_key_that_is_wrong_is_no_fault_of_the_request() -> None:
    message = f"API key not valid: {KEY}"
    error = fault(400, "INVALID_ARGUMENT", {"@type": _INFO, "reason": "API_KEY_INVALID"}, message=message)
    assert (error.cause, error.status) == ("key_refused", 400)
    assert "UP_KEY" in error.message
    assert KEY not in error.message


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        *(("22s", 22.0), ("0.5s", 0.5), ("39.204631128s", 39.204631128)),
        *(("soon", None), ("-1s", None), (5, None), ("9999999999s", None), ("1e9s", None)),
    ],
)
def test_the_details_say_when_to_return(delay: Any, seconds: float | None) -> None:
    error = fault(429, "RESOURCE_EXHAUSTED", {"@type": _RETRY, "retryDelay": delay})
    assert error.retry_after == seconds


def test_a_header_says_it_before_the_details() -> None:
    error = fault(429, "RESOURCE_EXHAUSTED", {"@type": _RETRY, "retryDelay": "22s"}, **{"retry-after": "3"})
    assert error.retry_after == 3


@pytest.mark.parametrize(
    "message",
    [
        "Penalty is not enabled for this model",
        "Multiple candidates is not enabled for models/gemini-2.5-flash-image",
        "Thinking level is not supported for this model.",
    ],
)
def test_a_parameter_that_a_model_lacks_passes_it_over(message: str) -> None:
    error = fault(400, "INVALID_ARGUMENT", message=message)
    assert isinstance(error, AttemptFailed)
    assert (error.cause, error.status) == ("parameter_unsupported", 400)


@pytest.mark.parametrize("details", [5, {}, [5], [[]], [{"reason": 5}], [{"retryDelay": {}}]])
def test_details_of_another_shape_say_nothing(details: Any) -> None:
    body = {"error": {"code": 429, "message": "No.", "status": 5, "details": details}}
    error: Any = DIALECT.failure(answer(body, 429), target())
    assert (error.cause, error.retry_after) == ("rate_limited", None)


def test_a_web_page_is_not_quoted() -> None:
    error: Any = DIALECT.failure(answer(b"<html>413</html>", 413), target())
    assert isinstance(error, RequestRefused)
    assert "<" not in error.message
