"""A call ends when its caller said, however many providers hang, and an attempt when its limits say."""

import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
import requests

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.message_pb2 import ChatMessage, ContentPart
from tests.calls import TIMEOUT, Outcome, body, over_grpc, rest
from tests.programs import wait_until
from tests.service import Service
from tests.upstream import Upstream

HANG = "Patient Half Patient"
MESSAGES = [ChatMessage(role="user", content=[ContentPart(text="Hi")])]
kinds = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])

Ask = Callable[..., Outcome]


def in_the_body(service: Service, seconds: float, provider: str, *, stream: bool) -> Outcome:
    return rest(service, body(provider, stream=stream, timeout=seconds))


def in_the_request(service: Service, seconds: float, provider: str, *, stream: bool) -> Outcome:
    return over_grpc(service, provider, stream=stream, timeout=seconds)


def in_a_header(name: str, unit: str, factor: float) -> Ask:
    def ask(service: Service, seconds: float, provider: str, *, stream: bool) -> Outcome:
        value = f"{seconds * factor:g}{unit}"
        return rest(service, body(provider, stream=stream), headers={name: value})

    return ask


TOLD = [
    pytest.param(in_the_body, id="timeout in the body"),
    pytest.param(in_the_request, id="timeout in the message"),
    pytest.param(in_a_header("x-request-timeout", "", 1), id="x-request-timeout"),
    pytest.param(in_a_header("x-request-timeout", "ms", 1000), id="x-request-timeout in ms"),
    pytest.param(in_a_header("grpc-timeout", "m", 1000), id="grpc-timeout"),
]


@pytest.mark.parametrize("ask", TOLD)
@kinds
def test_three_providers_that_hang_end_with_the_callers_time(
    resilient: Service, ask: Ask, stream: bool
) -> None:
    began = time.monotonic()
    outcome = ask(resilient, 0.5, "Patient Narrow C" if stream else "Patient", stream=stream)
    took = time.monotonic() - began
    assert outcome.code in (504, "DEADLINE_EXCEEDED")
    assert outcome.error["error"]["type"] == "timeout_error"
    assert outcome.error["error"]["code"] == "deadline_passed"
    assert outcome.error["attempts"][0]["cause"] == "timed_out"
    assert took >= 0.5


@kinds
@pytest.mark.parametrize("through", ["envoy", "worker"])
def test_a_grpc_callers_deadline_is_the_end_and_what_was_tried_is_in_the_initial_metadata(
    resilient: Service, stream: bool, through: str
) -> None:
    request = CreateCompletionRequest(model="m", providers=["Patient", "A"], messages=MESSAGES)
    with grpc.insecure_channel(getattr(resilient, through)) as channel:
        stub = ChatStub(channel)
        asked: Any = stub.StreamCompletion if stream else stub.CreateCompletion
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as failed:
            list(asked(request, timeout=0.5))
    assert time.monotonic() - began >= 0.5
    assert isinstance(failed.value, grpc.Call)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    told = dict(failed.value.initial_metadata() or ())
    assert str(told["x-interference-attempts"]).startswith('"Patient";cause=timed_out')


def test_the_soonest_of_all_deadlines_counts(resilient: Service) -> None:
    began = time.monotonic()
    outcome = rest(
        resilient,
        body("Patient", timeout=20),
        headers={"x-request-timeout": "0.3", "grpc-timeout": "10S"},
    )
    assert outcome.code == 504
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("header", ["x-request-timeout", "grpc-timeout"])
@pytest.mark.parametrize("value", ["soon", "-1", "0", "1h", "1e9", ""])
def test_a_timeout_that_is_none_is_refused(resilient: Service, header: str, value: str) -> None:
    outcome = rest(resilient, body("A"), headers={header: value})
    assert outcome.code == 400, outcome
    assert header in outcome.error["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": 3601}, "timeout"),
        ({"time_limits": {"idle": -1}}, "time_limits.idle"),
        ({"time_limits": {"whole": 5}}, "time_limits"),
        ({"hedge": {"delay": 4000}}, "hedge.delay"),
        ({"hedge": {"after": 1}}, "hedge"),
    ],
)
@pytest.mark.parametrize("path", ["chat/completions", "responses", "messages"])
def test_times_that_cannot_be_are_refused_by_name(
    resilient: Service, fields: dict[str, Any], param: str, path: str
) -> None:
    asked = {"model": "m", "provider": "A", "messages": [{"role": "user", "content": "Hi"}], **fields}
    if path == "responses":
        asked["input"] = asked.pop("messages")[0]["content"]
    if path == "messages":
        asked["max_tokens"] = 5
    answer = requests.post(f"{resilient.base_url}/{path}", json=asked, timeout=TIMEOUT)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith(param)


def test_a_request_may_set_the_limits_of_an_attempt(resilient: Service) -> None:
    asked = body("Patient A", timeout=20, time_limits={"total": 0.2})
    assert rest(resilient, asked).provider == "A"
    outcome = rest(resilient, body("Nowhere A", time_limits={"connect": 0.2}))
    assert outcome.provider == "A"
    assert outcome.chunks[0]["routing"]["attempts"][0]["message"].startswith("no connection within")
    limits = {"first_content": 0.2}
    outcome = rest(resilient, body("Patient A", stream=True, time_limits=limits))
    assert outcome.provider == "A"
    assert outcome.chunks[0]["routing"]["attempts"][0]["cause"] == "timed_out"
    outcome = rest(resilient, body("Half A", stream=True, time_limits={"idle": 0.2}))
    assert (outcome.provider, outcome.done) == ("Half", False)
    assert outcome.error["error"]["code"] == "timed_out"


def test_the_deadline_is_passed_on_and_steering_is_not(resilient: Service, upstream: Upstream) -> None:
    fields = {"timeout": 9, "time_limits": {"idle": 5}, "hedge": {"delay": 5}}
    assert rest(resilient, body("A", **fields)).code == 200
    seen = upstream.last()
    assert 8 < float(seen.headers["x-request-timeout"]) <= 9
    assert not seen.body.keys() & fields.keys()
    assert rest(resilient, body("A")).code == 200
    assert "x-request-timeout" not in upstream.last().headers


@kinds
def test_a_stream_that_has_begun_ends_at_the_deadline_with_an_error_in_band(
    resilient: Service, stream: bool
) -> None:
    if stream:
        outcome = rest(resilient, body("Half A", stream=True, timeout=0.4))
        assert (outcome.code, outcome.text, outcome.done) == (200, "Hello", False)
        assert outcome.error["error"]["type"] == "timeout_error"
    else:
        outcome = over_grpc(resilient, "Half A", stream=True, timeout=0.4)
        assert (outcome.code, outcome.text) == ("DEADLINE_EXCEEDED", "Hello")


def test_a_grpc_stream_that_has_begun_ends_at_the_callers_deadline(resilient: Service) -> None:
    request = CreateCompletionRequest(model="m", providers=["Half", "A"], messages=MESSAGES)
    heard: list[str] = []
    began = time.monotonic()
    with grpc.insecure_channel(resilient.worker) as channel:
        chunks = ChatStub(channel).StreamCompletion(request, timeout=0.5)
        with pytest.raises(grpc.RpcError) as failed:
            heard.extend(chunk.provider for chunk in chunks)
    assert time.monotonic() - began >= 0.5
    assert isinstance(failed.value, grpc.Call)
    assert (failed.value.code(), heard) == (grpc.StatusCode.DEADLINE_EXCEEDED, ["Half"])
    assert "Traceback" not in resilient.program.said


@pytest.mark.parametrize("limit", [{"timeout": 0.5}, {"time_limits": {"total": 0.5}}], ids=str)
@pytest.mark.parametrize("path", ["chat/completions", "completions", "responses", "messages"])
def test_a_stream_that_nobody_reads_ends_with_its_time(
    resilient: Service, upstream: Upstream, limit: dict[str, Any], path: str
) -> None:
    said: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
    said = {"completions": {"prompt": "Hi"}, "responses": {"input": "Hi"}}.get(path, said)
    asked = {"model": "m", "provider": "Endless", "stream": True, **said, **limit}
    if path == "messages":
        asked["max_tokens"] = 5
    before = upstream.open
    with requests.post(f"{resilient.base_url}/{path}", json=asked, stream=True, timeout=TIMEOUT) as answer:
        assert answer.status_code == 200
        wait_until(lambda: upstream.open <= before, lambda: "the call to the provider goes on")


def test_a_grpc_stream_that_nobody_reads_ends_with_its_time(resilient: Service, upstream: Upstream) -> None:
    request = CreateCompletionRequest(model="m", providers=["Endless"], messages=MESSAGES, timeout=0.5)
    before = upstream.open
    with grpc.insecure_channel(resilient.worker) as channel:
        chunks = ChatStub(channel).StreamCompletion(request)
        next(chunks)
        wait_until(lambda: upstream.open <= before, lambda: "the call to the provider goes on")
        with pytest.raises(grpc.RpcError) as failed:
            list(chunks)
    assert isinstance(failed.value, grpc.Call)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
