"""What an upstream's failure means, and in which words it is told."""

from typing import Any

import pytest

from server.errors import AttemptFailed, RequestRefused
from tests.server.drivers.openai.dialect import DIALECT, KEY, answer, target


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (301, "broken_answer"),
        (401, "key_refused"),
        (402, "quota_exceeded"),
        (403, "access_refused"),
        (404, "no_such_model"),
        (408, "timed_out"),
        (409, "conflict"),
        (425, "too_early"),
        (429, "rate_limited"),
        (500, "server_error"),
        (529, "server_error"),
    ],
)
def test_a_status_that_is_not_the_requests_fault_fails_the_attempt(status: int, cause: str) -> None:
    error = DIALECT.failure(answer({"error": {"message": "no"}}, status), target())
    assert isinstance(error, AttemptFailed)
    assert (error.cause, error.status) == (cause, status)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_status_that_is_the_requests_fault_refuses_it(status: int) -> None:
    raw = {"error": {"message": "bad n", "param": "n", "code": "invalid_n"}}
    error = DIALECT.failure(answer(raw, status), target())
    assert isinstance(error, RequestRefused)
    assert (error.param, error.reason, error.http_status) == ("n", "invalid_n", status)
    assert error.provider == "Up"
    assert "bad n" in error.message


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b'{"error": {"message": "%s"}}', id="an error object"),
        pytest.param(b'{"error": "%s"}', id="an error text"),
        pytest.param(b'{"message": "%s"}', id="a message"),
        pytest.param(b'{"error": {"detail": [{"msg": "%s"}]}}', id="details"),
        pytest.param(b'[{"error": {"message": "%s", "status": "INTERNAL"}}]', id="Gemini's list"),
        pytest.param(b'{"errors": [{"message": "%s"}]}', id="Cloudflare's list"),
    ],
)
def test_an_upstreams_words_come_through_without_our_key(raw: bytes) -> None:
    error = DIALECT.failure(answer(raw % f"wrong key {KEY}".encode(), 500), target())
    assert "wrong key [key]" in str(error)
    assert KEY not in str(error)


def test_a_web_page_is_not_quoted() -> None:
    error = DIALECT.failure(answer(b"<html>Bad gateway</html>", 502), target())
    assert "502" in str(error)
    assert "<" not in str(error)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-1", 0.0), ("nan", None), ("soon", None), ("1e99", 86_400.0)],
)
def test_retry_after_is_read(header: str, seconds: float | None) -> None:
    error = DIALECT.failure(answer({}, 429, **{"retry-after": header}), target())
    assert isinstance(error, AttemptFailed)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        pytest.param({"code": "model_not_found"}, "no_such_model", id="no such model"),
        pytest.param({"code": None, "param": "model"}, "no_such_model", id="a fault of the model"),
        pytest.param({"code": "unsupported_parameter"}, "parameter_unsupported", id="parameter"),
        pytest.param({"type": "unsupported_value"}, "parameter_unsupported", id="value"),
    ],
)
def test_a_400_that_tells_what_a_provider_lacks_fails_the_attempt(
    fields: dict[str, Any], cause: str
) -> None:
    error = DIALECT.failure(answer({"error": {"message": "no", **fields}}, 400), target())
    assert isinstance(error, AttemptFailed)
    assert error.cause == cause


@pytest.mark.parametrize(
    "message",
    ["property 'name' is unsupported", "Argument not supported on this model: stop", "extra_forbidden"],
)
def test_a_parameter_that_a_vendor_refuses_in_words_fails_the_attempt(message: str) -> None:
    error = DIALECT.failure(answer({"error": {"message": message}}, 422), target())
    assert isinstance(error, AttemptFailed)
    assert error.cause == "parameter_unsupported"


@pytest.mark.parametrize("field", ["code", "type", "param"])
def test_words_that_are_none_or_hold_our_key_are_not_passed_on(field: str) -> None:
    for word in (KEY, f"x{KEY}", "two words", "x" * 100, 5, ["a"]):
        error = DIALECT.failure(answer({"error": {"message": "no", field: word}}, 400), target())
        assert isinstance(error, RequestRefused)
        assert (error.reason, error.param) == ("refused_by_provider", None)
