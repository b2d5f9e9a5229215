"""The list of models in Anthropic's dialect, and what its failures mean."""

from typing import Any

import pytest

from server.drivers.base import Listed
from server.errors import AttemptFailed, RequestRefused
from tests.server.drivers.anthropic.dialect import DIALECT, KEY, answer, target

# https://platform.claude.com/docs/en/api/models-list
CLAUDE = {
    "id": "claude-x",
    "type": "model",
    "display_name": "Claude X",
    "max_input_tokens": 200_000,
    "capabilities": {
        "image_input": {"supported": True},
        "structured_outputs": {"supported": False},
        "thinking": {"supported": True, "types": {"enabled": {"supported": False}}},
        "batch": {"supported": True},
    },
}


def test_models_are_asked_for_on_one_page() -> None:
    request = DIALECT.models_request(target())
    assert (request.method, request.url) == ("GET", "https://up/v1/models?limit=1000")
    assert request.headers == {"anthropic-version": "2026-10-21", "x-api-key": KEY}


def test_models_are_listed_with_what_is_told_of_them() -> None:
    known = Listed("claude-x", frozenset({"vision", "reasoning"}), frozenset({"json_schema"}), 200_000)
    others: list[Any] = [{"id": "wired", "max_input_tokens": "many", "capabilities": []}, {"id": 5}, 7]
    assert DIALECT.models(answer({"data": [CLAUDE, *others]})) == [known, Listed("wired")]


@pytest.mark.parametrize("raw", [b"<html>", {}, [], {"data": {}}])
def test_what_is_no_list_is_a_broken_answer(raw: Any) -> None:
    with pytest.raises(AttemptFailed) as failed:
        DIALECT.models(answer(raw))
    assert failed.value.cause == "broken_answer"


def error(kind: str, message: str = "No") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


# https://platform.claude.com/docs/en/api/errors
@pytest.mark.parametrize(
    ("status", "kind", "cause"),
    [
        (401, "authentication_error", "key_refused"),
        (402, "billing_error", "quota_exceeded"),
        (403, "permission_error", "access_refused"),
        (404, "not_found_error", "no_such_model"),
        (409, "conflict_error", "conflict"),
        (429, "rate_limit_error", "rate_limited"),
        (500, "api_error", "server_error"),
        (504, "timeout_error", "server_error"),
        (529, "overloaded_error", "server_error"),
    ],
)
def test_a_failure_that_is_not_the_requests_fails_the_attempt(status: int, kind: str, cause: str) -> None:
    failed = DIALECT.failure(answer(error(kind), status, **{"retry-after": "7"}), target())
    assert isinstance(failed, AttemptFailed)
    assert (failed.cause, failed.status, failed.retry_after) == (cause, status, 7.0)


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid_request_error"), (413, "request_too_large")])
def test_a_failure_that_is_the_requests_refuses_it(status: int, kind: str) -> None:
    refused = DIALECT.failure(answer(error(kind, "messages: is required"), status), target())
    assert isinstance(refused, RequestRefused)
    assert (refused.http_status, refused.reason) == (status, kind)
    assert "messages: is required" in refused.message


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("Your credit balance is too low to access the Anthropic API.", "quota_exceeded"),
        ("top_k: Extra inputs are not permitted", "parameter_unsupported"),
        ("`temperature` is deprecated for this model.", "parameter_unsupported"),
        ("role 'system' is not supported on this model", "parameter_unsupported"),
        ('"thinking.type.enabled" is not supported for this model.', "parameter_unsupported"),
    ],
)
def test_a_400_that_tells_what_the_provider_lacks_fails_the_attempt(message: str, cause: str) -> None:
    failed = DIALECT.failure(answer(error("invalid_request_error", message), 400), target())
    assert isinstance(failed, AttemptFailed)
    assert failed.cause == cause
