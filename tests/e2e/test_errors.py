"""What a caller sees of every failure, over REST and over gRPC: the table of errors, row by row."""

from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
import requests
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.message_pb2 import ChatMessage, ContentPart
from tests.calls import TIMEOUT, Outcome, body, detail, over_grpc, rest
from tests.conftest import KEY
from tests.service import Service
from tests.upstream import RETRY_AFTER


@dataclass(frozen=True)
class Case:
    """A request that fails, and how."""

    provider: str
    http: int
    code: str
    type: str
    reason: str
    fields: dict[str, Any] = field(default_factory=dict)
    param: str | None = None


CASES = {
    "no messages": Case(
        "ok",
        400,
        "INVALID_ARGUMENT",
        "invalid_request_error",
        "invalid_request",
        {"messages": []},
        "messages",
    ),
    "no model": Case(
        "ok", 400, "INVALID_ARGUMENT", "invalid_request_error", "model_missing", {"model": ""}, "model"
    ),
    "n out of range": Case(
        "ok", 400, "INVALID_ARGUMENT", "invalid_request_error", "invalid_request", {"n": 0}, "n"
    ),
    "a parameter that nobody takes": Case(
        "picky",
        *(400, "INVALID_ARGUMENT", "invalid_request_error", "parameter_unsupported"),
        {"temperature": 1.0},
        "temperature",
    ),
    "a provider refuses the request": Case(
        "400", 400, "INVALID_ARGUMENT", "invalid_request_error", "c400", {}, "n"
    ),
    "a provider says 422": Case("422", 422, "INVALID_ARGUMENT", "invalid_request_error", "c422", {}, "n"),
    "a provider says 413": Case("413", 413, "INVALID_ARGUMENT", "invalid_request_error", "c413", {}, "n"),
    "an unknown provider": Case(
        "okk", 404, "NOT_FOUND", "not_found_error", "provider_not_found", {}, "provider"
    ),
    "an unknown model": Case(
        "ok", 404, "NOT_FOUND", "not_found_error", "model_not_found", {"model": "x"}, "model"
    ),
    "an unknown model, nobody named": Case(
        "", 404, "NOT_FOUND", "not_found_error", "model_not_found", {"model": "x"}, "model"
    ),
    "every provider says that it has no such model": Case(
        "404", 404, "NOT_FOUND", "not_found_error", "model_not_found", {}, "model"
    ),
    "every provider answers 429": Case(
        "429", 429, "RESOURCE_EXHAUSTED", "rate_limit_error", "rate_limited"
    ),
    "a provider is not there": Case("refused", 503, "UNAVAILABLE", "api_error", "all_providers_failed"),
    "a provider's key is not set": Case("no-key", 503, "UNAVAILABLE", "api_error", "no_provider_enabled"),
    "a provider refuses its key": Case("401", 503, "UNAVAILABLE", "api_error", "all_providers_failed"),
    "every provider fails in its own way": Case(
        "429 500 refused no-key", 503, "UNAVAILABLE", "api_error", "all_providers_failed"
    ),
    "a provider's limit passes": Case("silent", 504, "DEADLINE_EXCEEDED", "timeout_error", "timed_out"),
}
cases = pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
kinds = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


@cases
@kinds
def test_rest_callers_get_the_status_and_openais_error(service: Service, case: Case, stream: bool) -> None:
    outcome = rest(service, body(case.provider, stream=stream, **case.fields))
    assert (outcome.code, outcome.headers["content-type"]) == (case.http, "application/json")
    error = outcome.error["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == (case.type, case.param, case.reason)
    _check_words(case, outcome)


@cases
@kinds
@pytest.mark.parametrize("through", ["envoy", "worker"])
def test_grpc_callers_get_the_status_and_the_same_error(
    service: Service, case: Case, stream: bool, through: str
) -> None:
    outcome = over_grpc(
        service, case.provider, stream=stream, address=getattr(service, through), **case.fields
    )
    assert outcome.code == case.code
    error = outcome.error["error"]
    assert (error["type"], error.get("param"), error["code"]) == (case.type, case.param, case.reason)
    _check_words(case, outcome)


def _check_words(case: Case, outcome: Outcome) -> None:
    """The message is a sentence for people that says where to look, and holds no key."""
    message = outcome.error["error"]["message"]
    assert KEY not in str(outcome.error)
    named = [name for name in case.provider.split() if name != "okk" and case.reason != "invalid_request"]
    if case.reason != "model_missing":
        assert all(name in message for name in named)


def test_every_attempt_is_told_in_order(service: Service) -> None:
    outcome = rest(service, body("429 500 refused no-key"))
    attempts = outcome.error["attempts"]
    assert [(a["provider"], a["cause"], a.get("status")) for a in attempts] == [
        ("no-key", "not_enabled", None),
        ("429", "rate_limited", 429),
        ("500", "server_error", 500),
        ("refused", "connect_failed", None),
    ]
    assert all(a["message"] for a in attempts)
    assert all(a["duration_ms"] >= 0 for a in attempts[1:])
    assert "set NOT_SET" in outcome.error["error"]["message"]


def test_a_misspelt_provider_is_answered_with_the_closest(service: Service) -> None:
    message = rest(service, body("cut-latre")).error["error"]["message"]
    assert "Did you mean cut-later" in message


def test_rest_callers_learn_when_to_return(service: Service) -> None:
    assert rest(service, body("429")).headers["retry-after"] == str(RETRY_AFTER)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_grpc_callers_get_the_standard_details(service: Service, stream: bool) -> None:
    with grpc.insecure_channel(service.envoy) as channel:
        stub = ChatStub(channel)
        message = ChatMessage(role="user", content=[ContentPart(text="Hi")])
        request = CreateCompletionRequest(model="m", providers=["429"], messages=[message])
        ask: Any = stub.StreamCompletion if stream else stub.CreateCompletion
        with pytest.raises(grpc.RpcError) as failed:
            next(ask(request, timeout=TIMEOUT))
    info = detail(failed.value, ErrorInfo)
    assert (info.reason, info.domain) == ("RATE_LIMITED", "interference")
    assert dict(info.metadata) == {"provider": "429", "model": "m"}
    assert detail(failed.value, RetryInfo).retry_delay.seconds == RETRY_AFTER
    assert detail(failed.value, QuotaFailure).violations[0].subject == "429"


def test_grpc_callers_get_the_field_at_fault(service: Service) -> None:
    with grpc.insecure_channel(service.worker) as channel, pytest.raises(grpc.RpcError) as failed:
        ChatStub(channel).CreateCompletion(CreateCompletionRequest(model="m"), timeout=TIMEOUT)
    assert detail(failed.value, BadRequest).field_violations[0].field == "messages"


def test_many_attempts_still_fit_into_the_trailers(service: Service) -> None:
    names = "429 500 401 402 403 404 408 409 425 503 reset html empty garbage refused no-key picky"
    outcome = over_grpc(service, f"{names}", stream=False, temperature=1.0)
    assert outcome.code == "UNAVAILABLE"
    assert len(outcome.error["attempts"]) >= 10


# --- Errors that Envoy makes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "data", "http", "type_", "code"),
    [
        pytest.param("GET", "/v1/none", None, 404, "not_found_error", "path_not_found", id="path"),
        pytest.param("GET", "/", None, 404, "not_found_error", "path_not_found", id="root"),
        pytest.param(
            *("POST", "/v1/chat/completions:stream", b"{}"),
            *(404, "not_found_error", "path_not_found"),
            id="an inner path",
        ),
        pytest.param(
            *("DELETE", "/v1/models", None),
            *(405, "invalid_request_error", "method_not_allowed"),
            id="method",
        ),
        pytest.param(
            *("GET", "/v1/chat/completions", None),
            *(405, "invalid_request_error", "method_not_allowed"),
            id="method of a path that streams",
        ),
        pytest.param(
            "GET", "/v1/models?a=1", None, 400, "invalid_request_error", None, id="query parameter"
        ),
        pytest.param(
            "POST", "/v1/chat/completions", b"{", 400, "invalid_request_error", None, id="no JSON"
        ),
        pytest.param(
            *("POST", "/v1/chat/completions", b'{"messages": "Hi"}'),
            *(400, "invalid_request_error", None),
            id="a wrong type",
        ),
        pytest.param(
            *("POST", "/v1/images/generate", b"x" * (10 * 2**20)),
            *(413, "invalid_request_error", None),
            id="too large",
        ),
    ],
)
def test_what_envoy_refuses_has_openais_shape(
    service: Service, method: str, path: str, data: bytes | None, http: int, type_: str, code: str | None
) -> None:
    answer = requests.request(method, service.url + path, data=data, timeout=TIMEOUT)
    assert (answer.status_code, answer.headers["content-type"]) == (http, "application/json")
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == (type_, "messages" if data and b"messages" in data else None)
    assert error["message"]
    assert code is None or error["code"] == code
