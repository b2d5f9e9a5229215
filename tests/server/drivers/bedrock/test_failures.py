"""Bedrock's errors: what each means, and what is never told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import AttemptFailed, RequestRefused
from tests.server.drivers.bedrock.dialect import DIALECT, KEY, answer, target

TOKEN = "IQoJb3JpZ2luX2VjEHoaCXVzLWVhc3QtMSJHMEUCIQDx" * 8


def failure(status: int, word: str, message: str = "Because.", *, key: str | None = None) -> Exception:
    given = answer({"message": message}, status, x_amzn_errortype=f"{word}:http://internal.amazon.com/x")
    return DIALECT.failure(given, target(key=key))


@pytest.mark.parametrize(
    ("status", "word", "cause"),
    [
        (403, "AccessDeniedException", "access_refused"),
        (404, "ResourceNotFoundException", "no_such_model"),
        (408, "ModelTimeoutException", "timed_out"),
        (424, "ModelErrorException", "server_error"),
        (429, "ThrottlingException", "rate_limited"),
        (429, "ModelNotReadyException", "rate_limited"),
        (400, "ServiceQuotaExceededException", "quota_exceeded"),
        (500, "InternalServerException", "server_error"),
        (503, "ServiceUnavailableException", "server_error"),
        (403, "ExpiredTokenException", "key_refused"),
        (403, "UnrecognizedClientException", "key_refused"),
        (403, "InvalidSignatureException", "key_refused"),
        (403, "IncompleteSignature", "key_refused"),
        (403, "MissingAuthenticationTokenException", "key_refused"),
    ],
)
def test_each_exception_has_its_cause(status: int, word: str, cause: str) -> None:
    read = failure(status, word)
    assert isinstance(read, AttemptFailed)
    assert (read.cause, read.status) == (cause, status)


def test_a_wrong_request_goes_to_the_caller() -> None:
    read = failure(400, "ValidationException", "messages.0 is empty.")
    assert isinstance(read, RequestRefused)
    assert (read.reason, read.http_status) == ("ValidationException", 400)
    assert "messages.0 is empty." in read.message


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("The provided model identifier is invalid.", "no_such_model"),
        (
            "Invocation of model ID a.b with on-demand throughput isn\u2019t supported. Retry.",
            "no_such_model",
        ),
        ("This model version has reached the end of its life.", "no_such_model"),
        ("This model doesn't support tool use.", "parameter_unsupported"),
        (
            "This model doesn't support the stopSequences field. Remove stopSequences.",
            "parameter_unsupported",
        ),
    ],
)
def test_what_the_model_lacks_is_not_the_requests_fault(message: str, cause: str) -> None:
    read = failure(400, "ValidationException", message)
    assert isinstance(read, AttemptFailed)
    assert (read.cause, read.message) == (cause, message)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"__type": "com.amazon.coral.service#UnrecognizedClientException", "Message": "No."}, {}),
        ({"__type": "UnrecognizedClientException"}, {}),
        ({"Message": "No."}, {"x_amzn_errortype": "UnrecognizedClientException"}),
    ],
)
def test_the_word_may_stand_elsewhere(body: object, headers: dict[str, str]) -> None:
    read = DIALECT.failure(answer(body, 403, **headers), target())
    assert isinstance(read, AttemptFailed)
    assert read.cause == "key_refused"


def test_who_was_refused_is_told() -> None:
    assert "AWS credentials: they have expired" in str(failure(403, "ExpiredTokenException"))
    of_a_key = failure(403, "AccessDeniedException", "Please make sure your API Key is valid.", key=KEY)
    assert isinstance(of_a_key, AttemptFailed)
    assert of_a_key.cause == "key_refused"
    assert "it refused the key in UP_KEY" in of_a_key.message


@pytest.mark.parametrize(
    "word", ["InvalidSignatureException", "ValidationException", "AccessDeniedException"]
)
@pytest.mark.parametrize("status", [400, 403, 424, 500])
def test_no_error_tells_a_key_or_a_token(status: int, word: str) -> None:
    said = f"Canonical String: 'POST\nx-amz-security-token:{TOKEN}' {KEY} AKIAIOSFODNN7EXAMPLE"
    told = str(failure(status, word, said, key=KEY)) + str(failure(status, word, said.replace(KEY, "")))
    assert TOKEN[:60] not in told
    assert KEY not in told
    assert "AKIAIOSFODNN7EXAMPLE" not in told


@given(
    st.integers(300, 599),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30),
    st.binary(max_size=50)
    | st.dictionaries(st.sampled_from(["message", "__type"]), st.integers()).map(
        lambda body: json.dumps(body).encode()
    ),
)
def test_any_answer_is_a_failure(status: int, word: str, body: bytes) -> None:
    read = DIALECT.failure(answer(body, status, x_amzn_errortype=word), target())
    assert isinstance(read, AttemptFailed | RequestRefused)
