"""One service behind another: answers and failures of the inner one reach the callers of the outer one."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import pytest
import requests

from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.embeddings_pb2_grpc import EmbeddingsStub
from tests.calls import TIMEOUT, ask, attempts, body, plain
from tests.conftest import CALM
from tests.e2e.test_cancellation import grpc_caller, rest_caller
from tests.programs import Program, wait_until
from tests.service import Service, row, serving
from tests.upstream import RETRY_AFTER, TEXT, USAGE, Told, Upstream

KEY = "key-of-the-inner-one-0123456789"
SCRIPTS = ("ok", "told", "silent", "half", "cut-later", "400", "429", "500")
each_way = pytest.mark.parametrize("way", ["rest", "grpc"])
each_form = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
each_path = pytest.mark.parametrize("path", ["envoy", "worker"])


@dataclass(frozen=True)
class Pair:
    """Two services: providers of the outer one are named by the way to the inner one and its provider."""

    inner: Service
    outer: Service


def behind(name: str, address: str, **more: Any) -> dict[str, Any]:
    """A row for a service at host:port."""
    fields = {
        "id": name,
        "driver": "grpc",
        "base_url": f"grpc://{address}",
        "models": ["m"],
        "probe": False,
    }
    return {**fields, **CALM, **more}


@pytest.fixture(scope="module")
def pair(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The inner one asks the scripted upstream and wants a key."""
    rows = [
        row(name, f"{upstream.url}/{name}/v1", discover=name == "told", embedding_models=["e"], **CALM)
        for name in SCRIPTS
    ]
    variables = {"INTERFERENCE_API_KEY": KEY}
    with serving(tmp_path_factory.mktemp("inner"), rows, variables) as inner:
        outer_rows = [
            behind(
                f"{path}-{name}",
                getattr(inner, path),
                key_env="INNER_KEY",
                discover=name == "told",
                embedding_models=["e"],
                image_models=["canvas"],
                options={"providers": [name]},
            )
            for path in ("envoy", "worker")
            for name in (*SCRIPTS, "Canvas")
        ]
        outer_rows.append(behind("wrong-key", inner.worker, key_env="WRONG_KEY"))
        variables = {"INNER_KEY": KEY, "WRONG_KEY": "no-key-of-theirs"}
        with serving(tmp_path_factory.mktemp("outer"), outer_rows, variables) as outer:
            yield Pair(inner, outer)


@each_path
@each_way
@each_form
def test_an_answer_comes_from_the_provider_behind(pair: Pair, path: str, way: str, stream: bool) -> None:
    outcome = ask(pair.outer, way, f"{path}-ok", stream=stream)
    assert (outcome.text, outcome.provider) == (TEXT, f"{path}-ok")
    upstream = outcome.chunks[0]["extra"]["upstream"]
    assert upstream["provider"] == "ok"
    assert [attempt["provider"] for attempt in upstream["routing"]["attempts"]] == ["ok"]
    assert attempts(outcome) == [(f"{path}-ok", "")]


@each_path
@each_way
@each_form
def test_the_usage_comes_through(pair: Pair, path: str, way: str, stream: bool) -> None:
    more: Any = {"stream_options": {"include_usage": True}} if stream else {}
    outcome = ask(pair.outer, way, f"{path}-ok", stream=stream, **more)
    assert outcome.chunks[-1]["usage"] == USAGE
    assert stream is False or "usage" not in outcome.chunks[-2]


@each_path
@each_form
def test_a_tool_call_comes_through(pair: Pair, upstream: Upstream, path: str, stream: bool) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    said = {"role": "assistant", "tool_calls": [call | {"index": 0}]}
    model = f"calls-{path}-{stream}"
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls"}
    ending = {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
    events = [{"choices": [{"index": 0, "delta": said}]}, {"choices": [ending]}]
    upstream.answers[model] = Told(whole={"choices": [choice]}, events=events)
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "b": 1.0}}}]
    outcome = ask(pair.outer, "rest", f"{path}-told", stream=stream, model=model, tools=tools)
    member = "delta" if stream else "message"
    [came] = outcome.chunks[0]["choices"][0][member]["tool_calls"]
    assert {**came, "index": None} == {**call, "index": None}
    assert outcome.chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert upstream.last().body["tools"] == tools


@each_path
@each_way
@each_form
def test_a_wrong_request_is_told_as_the_upstream_told_it(
    pair: Pair, path: str, way: str, stream: bool
) -> None:
    outcome = ask(pair.outer, way, f"{path}-400 {path}-ok", stream=stream)
    assert outcome.code == (400 if way == "rest" else "INVALID_ARGUMENT")
    error = outcome.error["error"]
    assert (error["param"], error["code"], error["type"]) == ("n", "c400", "invalid_request_error")
    assert "the script says 400" in error["message"]
    assert attempts(outcome) == [(f"{path}-400", "refused")]


@each_path
@each_way
@pytest.mark.parametrize(
    ("script", "cause"), [("429", "rate_limited"), ("500", "server_error"), ("silent", "timed_out")]
)
def test_a_failure_has_its_cause_and_the_next_is_asked(
    pair: Pair, path: str, way: str, script: str, cause: str
) -> None:
    more: Any = {"time_limits": {"total": 0.5}} if script == "silent" else {}
    outcome = ask(pair.outer, way, f"{path}-{script} {path}-ok", **more)
    assert outcome.text == TEXT
    assert attempts(outcome) == [(f"{path}-{script}", cause), (f"{path}-ok", "")]


@each_path
def test_when_to_return_comes_through(pair: Pair, path: str) -> None:
    outcome = ask(pair.outer, "rest", f"{path}-429")
    assert outcome.code == 429
    assert outcome.headers["retry-after"] == str(RETRY_AFTER)


@each_path
def test_the_attempts_of_the_inner_one_are_told_in_words(pair: Pair, path: str) -> None:
    outcome = ask(pair.outer, "rest", f"{path}-500")
    [attempt] = outcome.error["attempts"]
    assert (attempt["provider"], attempt["status"]) == (f"{path}-500", 503)
    assert "500: the script says 500" in attempt["message"]


@each_path
@each_way
def test_a_stream_that_breaks_ends_with_an_error(pair: Pair, path: str, way: str) -> None:
    outcome = ask(pair.outer, way, f"{path}-cut-later {path}-ok", stream=True)
    assert outcome.text.startswith("Hello")
    assert not outcome.done
    assert outcome.error["error"]["code"] == "stream_broken"


@each_form
@each_way
def test_a_wrong_key_is_told_by_its_name(pair: Pair, way: str, stream: bool) -> None:
    outcome = ask(pair.outer, way, "wrong-key worker-ok", stream=stream)
    assert attempts(outcome) == [("wrong-key", "key_refused"), ("worker-ok", "")]
    error = ask(pair.outer, way, "wrong-key", stream=stream).error
    assert "it refused the key in WRONG_KEY" in error["error"]["message"]
    assert "no-key-of-theirs" not in json.dumps(error)


@each_path
def test_the_time_that_is_left_reaches_the_upstream(pair: Pair, upstream: Upstream, path: str) -> None:
    ask(pair.outer, "rest", f"{path}-ok", timeout=20)
    left = float(upstream.last().headers["x-request-timeout"])
    assert 10 < left < 1.01 * 20  # gRPC rounds the time up, by less than that


@each_path
@each_way
@each_form
def test_the_callers_deadline_ends_the_call(pair: Pair, path: str, way: str, stream: bool) -> None:
    began = time.monotonic()
    outcome = ask(pair.outer, way, f"{path}-silent {path}-ok", stream=stream, timeout=0.5)
    assert outcome.code == (504 if way == "rest" else "DEADLINE_EXCEEDED")
    assert attempts(outcome) == [(f"{path}-silent", "timed_out")]
    assert outcome.error["error"]["code"] == "deadline_passed"
    assert 0.4 < time.monotonic() - began < 3


@each_path
@pytest.mark.parametrize("caller", [rest_caller, grpc_caller], ids=["rest", "grpc"])
@each_form
@pytest.mark.parametrize("script", ["silent", "half"])
def test_a_caller_who_leaves_ends_the_call_to_the_upstream(
    pair: Pair, upstream: Upstream, path: str, caller: Callable[..., Any], stream: bool, script: str
) -> None:
    before = upstream.open
    with caller(pair.outer, f"{path}-{script}", stream=stream):
        wait_until(lambda: upstream.open == before + 1, lambda: "nobody was asked")
    wait_until(lambda: upstream.open == before, lambda: "the call to the upstream goes on")


def tells(program: Program, words: str) -> bool:
    return words in program.said


@each_path
def test_a_request_has_one_id_in_both_logs(pair: Pair, path: str) -> None:
    request_id = f"request-of-{path}"
    requests.post(
        f"{pair.outer.base_url}/chat/completions",
        json=body(f"{path}-ok"),
        headers={"x-request-id": request_id},
        timeout=TIMEOUT,
    )
    for service in (pair.outer, pair.inner):
        program = service.program
        wait_until(partial(tells, program, request_id), lambda: "no line has it")


@each_path
def test_images_are_kept_by_the_outer_one(pair: Pair, path: str) -> None:
    answer = requests.post(
        f"{pair.outer.base_url}/images/generations",
        json={"model": "canvas", "provider": f"{path}-Canvas", "prompt": "sea", "size": "64x64"},
        timeout=TIMEOUT,
    ).json()
    assert answer["provider"] == f"{path}-Canvas"
    [image] = answer["data"]
    assert image["url"].startswith(pair.outer.url)
    assert requests.get(image["url"], timeout=TIMEOUT).headers["content-type"] == "image/png"


@each_path
def test_embeddings_come_through(pair: Pair, upstream: Upstream, path: str) -> None:
    vectors = {
        "data": [{"index": 0, "embedding": [1.0, 2.0]}],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }
    upstream.answers["e"] = Told(whole=vectors)
    inputs: Any = [{"text": "a"}]
    with grpc.insecure_channel(pair.outer.worker) as channel:
        asked = CreateEmbeddingsRequest(model="e", input=inputs, providers=[f"{path}-told"])
        answer = plain(EmbeddingsStub(channel).CreateEmbeddings(asked, timeout=TIMEOUT))
    assert answer["data"] == [{"object": "embedding", "index": 0, "embedding": [1.0, 2.0]}]
    assert answer["usage"] == vectors["usage"]


@pytest.fixture(scope="module")
def circle(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose provider `B` is another one that asks it in turn, and whose `Self` it is itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = f"127.0.0.1:{port}"
    with serving(tmp_path_factory.mktemp("b"), [behind("A", own)]) as other:
        rows = [
            behind("B", other.envoy),
            behind("B-straight", other.worker),
            behind("Self", own, options={"providers": ["ok"]}),
            row("Rest", f"http://{own}/v1", **CALM),
            row("ok", f"{upstream.url}/ok/v1", **CALM),
        ]
        with serving(tmp_path_factory.mktemp("a"), rows, port=port) as service:
            yield service


@pytest.mark.parametrize("provider", ["B", "B-straight", "Self"])
@each_way
@each_form
def test_a_circle_is_left_for_the_next_provider(
    circle: Service, upstream: Upstream, provider: str, way: str, stream: bool
) -> None:
    before = len(upstream.seen)
    outcome = ask(circle, way, f"{provider} ok", stream=stream)
    assert (outcome.text, outcome.provider) == (TEXT, "ok")
    assert attempts(outcome) == [(provider, "no_such_model"), ("ok", "")]
    assert len(upstream.seen) == before + 1


@each_way
@each_form
def test_a_circle_over_rest_is_left_for_the_next_provider(
    circle: Service, upstream: Upstream, way: str, stream: bool
) -> None:
    before = len(upstream.seen)
    outcome = ask(circle, way, "Rest ok", stream=stream)
    assert (outcome.text, outcome.provider) == (TEXT, "ok")
    assert attempts(outcome) == [("Rest", "server_error"), ("ok", "")]
    assert len(upstream.seen) == before + 1


@pytest.mark.parametrize("provider", ["B", "Self"])
@each_way
def test_a_circle_is_told_where_there_is_nobody_else(circle: Service, provider: str, way: str) -> None:
    outcome = ask(circle, way, provider)
    assert outcome.code == (404 if way == "rest" else "NOT_FOUND")
    assert "servers ask each other in a circle" in outcome.error["error"]["message"]


def test_a_request_that_comes_from_afar_is_refused(circle: Service) -> None:
    def asked(hops: int) -> requests.Response:
        return requests.post(
            f"{circle.base_url}/chat/completions",
            json=body("ok"),
            headers={"cdn-loop": ", ".join(f"hop-{number}" for number in range(hops))},
            timeout=TIMEOUT,
        )

    assert asked(8).status_code == 200
    refused = asked(9)
    assert refused.status_code == 508
    assert refused.json()["error"]["code"] == "loop_detected"
