"""The other two chat dialects through the real service: any provider answers, failures are the vendor's."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import requests
from google.api.httpbody_pb2 import HttpBody

from interference.v1.error_pb2 import ErrorResponse
from interference.v1.messages_pb2_grpc import MessagesStub
from interference.v1.responses_pb2_grpc import ResponsesStub
from tests.calls import TIMEOUT, detail
from tests.programs import wait_until
from tests.service import Service
from tests.upstream import CONTENT, TEXT, Upstream

Event = tuple[str, dict[str, Any]]


def _message_text(message: dict[str, Any]) -> str:
    return "".join(block["text"] for block in message["content"] if block["type"] == "text")


def _message_delta(event: dict[str, Any]) -> str:
    return str(event["delta"].get("text", "")) if event["type"] == "content_block_delta" else ""


def _response_text(response: dict[str, Any]) -> str:
    parts = (part for item in response["output"] for part in item.get("content", ()))
    return "".join(part["text"] for part in parts if part["type"] == "output_text")


def _response_delta(event: dict[str, Any]) -> str:
    return str(event["delta"]) if event["type"] == "response.output_text.delta" else ""


@dataclass(frozen=True)
class Dialect:
    """How one of them asks and answers."""

    path: str
    stub: Callable[[grpc.Channel], Any]
    call: str
    asked: dict[str, Any]
    text: Callable[[dict[str, Any]], str]  # of a whole answer
    delta: Callable[[dict[str, Any]], str]  # of an event
    last: str  # the event that ends a stream that went well
    failed: str  # the event that tells of a failure
    typed_errors: bool  # whether an error's body has a type of its own

    def body(self, provider: str = "", **fields: Any) -> dict[str, Any]:
        return {"model": "m", **self.asked, **({"provider": provider} if provider else {}), **fields}


MESSAGES = Dialect(
    path="messages",
    stub=MessagesStub,
    call="CreateMessage",
    asked={"max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]},
    text=_message_text,
    delta=_message_delta,
    last="message_stop",
    failed="error",
    typed_errors=True,
)
RESPONSES = Dialect(
    path="responses",
    stub=ResponsesStub,
    call="CreateResponse",
    asked={"input": "Hi"},
    text=_response_text,
    delta=_response_delta,
    last="response.completed",
    failed="response.failed",
    typed_errors=False,
)
dialects = pytest.mark.parametrize(
    "dialect", [pytest.param(MESSAGES, id="messages"), pytest.param(RESPONSES, id="responses")]
)
kinds = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


def post(service: Service, path: str, body: Any, **options: Any) -> requests.Response:
    return requests.post(f"{service.url}{path}", json=body, timeout=TIMEOUT, **options)


def events(text: str) -> list[Event]:
    """The events of a stream: name and data each."""
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append((event["type"], event))
    return found


def said(dialect: Dialect, found: list[Event]) -> str:
    return "".join(dialect.delta(event) for _, event in found)


def ask(service: Service, dialect: Dialect, provider: str, *, stream: bool, path: str = "/v1") -> str:
    """The text of an answer that must be there."""
    answer = post(service, f"{path}/{dialect.path}", dialect.body(provider, stream=stream))
    assert answer.status_code == 200, answer.text
    if not stream:
        assert answer.headers["content-type"] == "application/json"
        return dialect.text(answer.json())
    assert answer.headers["content-type"] == "text/event-stream"
    found = events(answer.text)
    assert [name for name, _ in found].index(dialect.last) == len(found) - 1
    return said(dialect, found)


@dialects
@kinds
@pytest.mark.parametrize("provider", ["ok", "429 ok", "reset ok", "garbage ok", "no-key ok", "html ok"])
def test_a_provider_answers_and_the_next_where_one_cannot(
    service: Service, dialect: Dialect, stream: bool, provider: str
) -> None:
    assert ask(service, dialect, provider, stream=stream) == TEXT


@dialects
@kinds
def test_the_path_may_choose_the_provider(
    service: Service, upstream: Upstream, dialect: Dialect, stream: bool
) -> None:
    assert ask(service, dialect, "", stream=stream, path="/api/ok/v1") == TEXT
    assert upstream.last().script == "ok"


@dialects
@kinds
@pytest.mark.parametrize(
    ("provider", "status", "kind"),
    [
        pytest.param("nobody", 404, "not_found_error", id="no such provider"),
        pytest.param("429", 429, "rate_limit_error", id="limited"),
        pytest.param("500", 503, "api_error", id="down"),
        pytest.param("422", 422, "invalid_request_error", id="refused"),
    ],
)
def test_a_call_that_fails_before_its_first_event_has_the_vendors_error(
    service: Service, dialect: Dialect, stream: bool, provider: str, status: int, kind: str
) -> None:
    answer = post(service, f"/v1/{dialect.path}", dialect.body(provider, stream=stream))
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    body = answer.json()
    assert body["error"]["type"] == kind
    assert body["error"]["message"]
    assert body.get("type") == ("error" if dialect.typed_errors else None)
    assert ("retry-after" in answer.headers) == (status == 429)


@pytest.mark.parametrize(
    ("dialect", "fields", "param"),
    [
        pytest.param(MESSAGES, {"stop_sequences": ["x"]}, "stop_sequences", id="messages"),
        pytest.param(
            RESPONSES, {"text": {"format": {"type": "json_object"}}}, "text.format", id="responses"
        ),
    ],
)
def test_an_error_over_a_field_of_chat_names_the_member_that_it_was(
    service: Service, dialect: Dialect, fields: dict[str, Any], param: str
) -> None:
    answer = post(service, f"/v1/{dialect.path}", dialect.body("modest", **fields))
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert param in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        pytest.param(MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 5000}}, id="messages"),
        pytest.param(RESPONSES, {"reasoning": {"effort": "high"}}, id="responses"),
    ],
)
def test_what_agents_send_as_a_matter_of_course_is_wanted_of_nobody(
    service: Service, upstream: Upstream, dialect: Dialect, fields: dict[str, Any]
) -> None:
    answer = post(service, f"/v1/{dialect.path}", dialect.body("modest", **fields))
    assert answer.status_code == 200
    assert "reasoning_effort" not in upstream.last().body
    post(service, f"/v1/{dialect.path}", dialect.body("modest ok", **fields))
    assert "reasoning_effort" in upstream.last().body  # who takes it is preferred


@dialects
@pytest.mark.parametrize(
    ("body", "named"),
    [
        pytest.param(b"{", "", id="not JSON"),
        pytest.param(b"[]", "", id="no object"),
        pytest.param(b'{"model": 5, "max_tokens": 5}', "model", id="a wrong kind"),
        pytest.param(b'{"model": "m"}', "", id="nothing said"),
        pytest.param(b"", "", id="nothing at all"),
    ],
)
def test_a_wrong_body_is_the_callers_fault(
    service: Service, dialect: Dialect, body: bytes, named: str
) -> None:
    answer = requests.post(f"{service.base_url}/{dialect.path}", data=body, timeout=TIMEOUT)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert named in error["message"]


@dialects
@pytest.mark.parametrize(
    ("provider", "content"), [("cut-later", "".join(CONTENT[:2])), ("no-finish", CONTENT[0])]
)
def test_a_stream_that_breaks_ends_in_the_vendors_event(
    service: Service, dialect: Dialect, provider: str, content: str
) -> None:
    answer = post(service, f"/v1/{dialect.path}", dialect.body(f"{provider} ok", stream=True))
    found = events(answer.text)
    names = [name for name, _ in found]
    assert said(dialect, found) == content
    assert dialect.last not in names
    assert dialect.failed in names[-2:]
    assert provider in json.dumps(dict(found)[dialect.failed])


@dialects
def test_a_caller_that_leaves_ends_the_upstream_call(
    resilient: Service, upstream: Upstream, dialect: Dialect
) -> None:
    before = upstream.open
    with post(resilient, f"/v1/{dialect.path}", dialect.body("Half", stream=True), stream=True) as answer:
        lines = answer.iter_lines()  # who lets go of it leaves
        next(lines)
        assert upstream.open == before + 1
    wait_until(lambda: upstream.open == before, lambda: "the upstream call goes on")


@dialects
@kinds
def test_grpc_speaks_it_too(service: Service, dialect: Dialect, stream: bool) -> None:
    request = HttpBody(data=json.dumps(dialect.body("ok", stream=stream)).encode())
    with grpc.insecure_channel(service.worker) as channel:
        parts = list(getattr(dialect.stub(channel), dialect.call)(request, timeout=TIMEOUT))
    text = b"".join(part.data for part in parts).decode()
    assert (said(dialect, events(text)) if stream else dialect.text(json.loads(text))) == TEXT
    assert {part.content_type for part in parts} == {"text/event-stream" if stream else "application/json"}


@dialects
def test_grpc_fails_with_a_status(service: Service, dialect: Dialect) -> None:
    request = HttpBody(data=json.dumps(dialect.body("429")).encode())
    with grpc.insecure_channel(service.envoy) as channel, pytest.raises(grpc.RpcError) as failed:
        list(getattr(dialect.stub(channel), dialect.call)(request, timeout=TIMEOUT))
    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert detail(failed.value, ErrorResponse).attempts[0].provider == "429"
