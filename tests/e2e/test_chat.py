"""Chat through the real service: choosing, falling back, streams and their ends."""

from typing import Any

import grpc
import pytest
import requests

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.chat_pb2_grpc import ChatStub
from interference.v1.message_pb2 import ChatMessage, ContentPart
from tests.calls import TIMEOUT, ask, body, rest
from tests.conftest import KEY
from tests.programs import wait_until
from tests.service import Service
from tests.upstream import CONTENT, TEXT, USAGE, Upstream

ways = pytest.mark.parametrize("way", ["rest", "grpc"])
kinds = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


@ways
@kinds
def test_a_provider_answers(service: Service, way: str, stream: bool) -> None:
    outcome = ask(service, way, "ok", stream=stream)
    assert (outcome.text, outcome.provider) == (TEXT, "ok")
    assert outcome.done == (way == "rest" and stream)
    assert outcome.chunks[-1]["choices"][0]["finish_reason"] == "stop"


@ways
@kinds
@pytest.mark.parametrize(
    "failing",
    [
        *("refused", "reset", "silent", "html", "empty", "garbage", "redirect", "no-key", "picky"),
        *("401", "402", "403", "404", "408", "409", "425", "429", "500", "503"),
    ],
)
def test_the_next_provider_answers_where_one_cannot(
    service: Service, way: str, stream: bool, failing: str
) -> None:
    outcome = ask(service, way, f"{failing} ok", stream=stream, temperature=0.5)
    assert (outcome.text, outcome.provider) == (TEXT, "ok")


@ways
@pytest.mark.parametrize("failing", ["error-first", "empty", "odd-error", "roles"])
def test_a_stream_that_fails_before_its_content_is_another_providers(
    service: Service, way: str, failing: str
) -> None:
    outcome = ask(service, way, f"{failing} ok", stream=True)
    assert (outcome.text, outcome.provider) == (TEXT, "ok")
    assert outcome.chunks[0]["choices"][0]["delta"]["role"] == "assistant"


@ways
@kinds
@pytest.mark.parametrize("status", ["400", "413", "422"])
def test_a_wrong_request_is_not_tried_elsewhere(
    service: Service, upstream: Upstream, way: str, stream: bool, status: str
) -> None:
    before = len(upstream.seen)
    outcome = ask(service, way, f"{status} ok", stream=stream)
    assert outcome.error["provider"] == status
    assert [(a["provider"], a["cause"]) for a in outcome.error["attempts"]] == [(status, "refused")]
    assert [seen.script for seen in upstream.seen[before:]] == [status]


@ways
@pytest.mark.parametrize(
    ("failing", "content"),
    [
        pytest.param("cut-later", "".join(CONTENT[:2]), id="the connection drops"),
        pytest.param("error-later", CONTENT[0], id="an error is sent"),
        pytest.param("no-finish", CONTENT[0], id="no finish reason"),
        pytest.param("half", CONTENT[0], id="nothing more comes"),
    ],
)
def test_a_stream_that_fails_after_content_ends_with_an_error(
    service: Service, way: str, failing: str, content: str
) -> None:
    outcome = ask(service, way, f"{failing} ok", stream=True)
    assert (outcome.text, outcome.provider, outcome.done) == (content, failing, False)
    assert outcome.code == (
        200 if way == "rest" else "DEADLINE_EXCEEDED" if failing == "half" else "UNAVAILABLE"
    )
    assert outcome.error["provider"] == failing
    assert failing in outcome.error["error"]["message"]
    assert [attempt["provider"] for attempt in outcome.error["attempts"]] == [failing]


@ways
@pytest.mark.parametrize("provider", ["no-end", "cut-end"])
def test_a_whole_answer_is_whole_however_its_connection_ends(
    service: Service, way: str, provider: str
) -> None:
    outcome = ask(service, way, provider, stream=True)
    assert (outcome.text, outcome.error) == (TEXT, {})
    assert outcome.done == (way == "rest")


@ways
def test_a_choice_that_never_finishes_is_an_error(service: Service, way: str) -> None:
    outcome = ask(service, way, "half-choices", stream=True, n=2)
    assert outcome.error["error"]["code"] == "stream_broken"
    assert not outcome.done


@kinds
def test_no_key_reaches_another_provider(service: Service, upstream: Upstream, stream: bool) -> None:
    request = body("500 lenient", stream=stream)
    outcome = rest(service, request, headers={"authorization": "Bearer the-callers-own"})
    assert outcome.text == TEXT
    first, second = upstream.seen[-2:]
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in second.headers


def test_redirects_are_not_followed(service: Service, upstream: Upstream) -> None:
    before = len(upstream.seen)
    assert rest(service, body("redirect")).code == 503
    assert [seen.script for seen in upstream.seen[before:]] == ["redirect"]


@pytest.mark.parametrize(
    "provider",
    [
        pytest.param(["429", "ok"], id="a list"),
        pytest.param("429 ok", id="a string"),
        pytest.param("  429\n\t429 ok  ok ", id="white space and repetitions"),
    ],
)
def test_providers_are_tried_once_each_in_the_order_given(
    service: Service, upstream: Upstream, provider: Any
) -> None:
    before = len(upstream.seen)
    assert rest(service, body(provider)).provider == "ok"
    assert [seen.script for seen in upstream.seen[before:]] == ["429", "ok"]


@ways
def test_an_unknown_name_fails_the_request_before_anything_is_called(
    service: Service, upstream: Upstream, way: str
) -> None:
    before = len(upstream.seen)
    assert ask(service, way, "ok nonsense", stream=False).code in (404, "NOT_FOUND")
    assert len(upstream.seen) == before


@ways
def test_a_model_may_name_its_provider(service: Service, way: str) -> None:
    assert ask(service, way, "", stream=False, model="ok/m").provider == "ok"


@ways
def test_without_names_the_provider_of_the_best_priority_is_asked(service: Service, way: str) -> None:
    # `picky`, `lenient` and `refused` come before the scripts, and `refused` cannot answer.
    assert ask(service, way, "", stream=False).provider == "lenient"


@ways
@kinds
@pytest.mark.parametrize("asked", [None, {"include_usage": False}, {"include_usage": True}])
def test_a_stream_tells_its_usage_exactly_where_it_is_asked_to(
    service: Service, way: str, stream: bool, asked: dict[str, bool] | None
) -> None:
    fields: dict[str, Any] = {"stream_options": asked} if asked is not None and stream else {}
    outcome = ask(service, way, "ok", stream=stream, **fields)
    told = [chunk["usage"] for chunk in outcome.chunks if "usage" in chunk]
    assert told == ([USAGE] if not stream or (asked or {}).get("include_usage") else [])


def test_the_event_that_tells_the_usage_has_an_empty_list_of_choices(service: Service) -> None:
    request = body("ok", stream=True, stream_options={"include_usage": True})
    chunks = rest(service, request).chunks
    assert all("choices" in chunk for chunk in chunks)
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], USAGE)


def test_what_is_sent_reaches_the_upstream_as_it_was(service: Service, upstream: Upstream) -> None:
    tool = {"name": "f", "parameters": {"type": "object", "properties": {"b": {}, "a": {"const": 1.0}}}}
    fields = {
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": "ä\n\u2028\U0001f600"}], "name": "n"},
        ],
        "temperature": 0.7,
        "seed": 9007199254740993,
        "stop": ["a", "b"],
        "logit_bias": {"50256": -100},
        "metadata": {"k": "v"},
        "tools": [{"type": "function", "function": tool}],
        "tool_choice": "auto",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": {"z": 1, "a": 2}},
        },
        "top_k": 40,
        "guided": {"deep": [1, {"x": None}]},
    }
    assert rest(service, body("ok", **fields)).code == 200
    assert upstream.last().body == {"model": "m", **fields}
    assert list(upstream.last().body["response_format"]["json_schema"]["schema"]) == ["z", "a"]


def test_an_idle_caller_that_leaves_ends_the_upstream_call(resilient: Service, upstream: Upstream) -> None:
    open_before = upstream.open
    url, asked = f"{resilient.base_url}/chat/completions", body("Half", stream=True)
    with requests.post(url, json=asked, stream=True, timeout=TIMEOUT) as answer:
        lines = answer.iter_lines()  # who lets go of it leaves
        next(lines)
        assert upstream.open == open_before + 1
    wait_until(lambda: upstream.open == open_before, lambda: "the upstream call goes on")


@kinds
def test_a_callers_deadline_covers_all_attempts(service: Service, upstream: Upstream, stream: bool) -> None:
    message = ChatMessage(role="user", content=[ContentPart(text="Hi")])
    request = CreateCompletionRequest(model="m", providers=["silent", "half", "ok"], messages=[message])
    before = len(upstream.seen)
    with grpc.insecure_channel(service.worker) as channel:
        stub = ChatStub(channel)
        request_call: Any = stub.StreamCompletion if stream else stub.CreateCompletion
        with pytest.raises(grpc.RpcError) as failed:
            list(request_call(request, timeout=0.15))
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert [seen.script for seen in upstream.seen[before:]] == ["silent"]


def test_a_rest_callers_deadline_is_honoured(service: Service) -> None:
    outcome = rest(service, body("silent"), headers={"grpc-timeout": "100m"})
    assert outcome.code == 504
    assert outcome.error["error"]["type"] == "timeout_error"
    assert [attempt["provider"] for attempt in outcome.error["attempts"]] == ["silent"]


def test_the_unary_call_refuses_to_stream_over_grpc(service: Service) -> None:
    message = ChatMessage(role="user", content=[ContentPart(text="Hi")])
    request = CreateCompletionRequest(model="m", providers=["ok"], messages=[message], stream=True)
    with grpc.insecure_channel(service.worker) as channel, pytest.raises(grpc.RpcError) as failed:
        ChatStub(channel).CreateCompletion(request, timeout=TIMEOUT)
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "StreamCompletion" in (failed.value.details() or "")
