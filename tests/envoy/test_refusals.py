"""Every answer that Envoy or edge.lua makes by itself has OpenAI's error shape."""

from __future__ import annotations

import contextlib
import http.client
from typing import TYPE_CHECKING

import pytest

from tests.envoy.real_envoy import running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.envoy.real_envoy import Edge
    from tests.envoy.stub_worker import Calls

LIMIT = 2_000_000  # as in conftest.py


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b'{"n":', "expected a value at byte 6", id="cut"),
        pytest.param(b"{'n':1}", "double quotes at byte 2", id="single quotes"),
        pytest.param(b"[]", "expected an object", id="a list"),
        pytest.param(b"", "The body is empty", id="empty"),
        pytest.param(b" ", "expected an object", id="white space"),
        pytest.param(b'{"x":"\xff"}', "expected UTF-8", id="not UTF-8 in what moves"),
        pytest.param(b'{"model":"\xff"}', "non UTF-8", id="not UTF-8 in a known field"),
        pytest.param(b'{"seed":"a\\"b"}', 'seed: invalid value "a"b"', id="a wrong type"),
        pytest.param(b'{"model":{"a":1}}', "model must be a string", id="an object for a string"),
        pytest.param(b'{"x":' + b"[" * 100_000, "at most 500 levels", id="deep"),
        pytest.param(
            b'{"messages":[{"extra":{"a":' + b"[" * 400 + b"]" * 400 + b"}}]}", "too deep", id="less deep"
        ),
    ],
)
def test_a_wrong_body_is_400(edge: Edge, calls: Calls, body: bytes, reason: str) -> None:
    answer = edge.chat(body)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert reason in answer.error["message"]
    assert not calls.requests


def test_no_body_is_400(edge: Edge) -> None:
    assert edge("POST", "/v1/chat/completions").error["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("body", "param", "kind"),
    [
        ({"messages": "Hi"}, "messages", "a list"),
        ({"messages": {"role": "user"}}, "messages", "a list"),
        ({"messages": ["Hi"]}, "messages[0]", "an object"),
        ({"messages": [{}, {"content": [{"file": "a"}]}]}, "messages[1].content[0].file", "an object"),
        ({"model": ["m"]}, "model", "a string"),
        ({"provider": {"id": "A"}}, "provider", "a string or a list"),
        ({"provider": 5}, "provider", "a string or a list"),
        ({"model": 5}, "model", "a string"),
        ({"stream": 1}, "stream", "true or false"),
        ({"logprobs": "x"}, "logprobs", "true or false"),
        ({"temperature": [1]}, "temperature", "a number"),
        ({"store": {}}, "store", "true or false"),
        ({"metadata": 5}, "metadata", "an object"),
        ({"tool_choice": 5}, "tool_choice", "an object"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_refused_by_its_name(
    edge: Edge, body: dict[str, object], param: str, kind: str
) -> None:
    answer = edge.chat(body)
    assert answer.status == 400
    assert answer.error["message"] == f"{param} must be {kind}."
    assert answer.error["param"] == param


@pytest.mark.parametrize("path", ["/v1/models?x=1", "/v1/models/m?model=n", "/v1/providers/A?provider=B"])
def test_a_query_parameter_is_400(edge: Edge, path: str) -> None:
    answer = edge("GET", path)
    assert answer.status == 400
    assert path.partition("?")[2] in answer.error["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/", id="the root"),
        pytest.param("GET", '/"\\%22%0a', id="characters that JSON escapes"),
        pytest.param("GET", "/v1/models2", id="a longer name"),
        pytest.param("GET", "/v1/providers/", id="an empty name"),
        pytest.param("GET", "/v1/providers/a/b", id="a deeper path"),
        pytest.param("POST", "/v1/chat/completions:stream", id="the streaming sibling"),
        pytest.param("POST", "/interference.v1.Chat/CreateCompletion", id="JSON for gRPC"),
    ],
)
def test_another_path_is_404(edge: Edge, calls: Calls, method: str, path: str) -> None:
    answer = edge(method, path, {"model": "m"} if method == "POST" else None)
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")
    assert answer.error["message"].startswith(f"There is no {method} /")
    assert "GET /v1/models," in answer.error["message"]
    assert not calls.requests


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        pytest.param("GET", "/v1/chat/completions", "POST", id="GET a completion"),
        pytest.param("POST", "/v1/models", "GET", id="POST models"),
        pytest.param("OPTIONS", "/v1/models/a/b", "GET", id="OPTIONS without an origin"),
    ],
)
def test_another_method_is_405(edge: Edge, method: str, path: str, allow: str) -> None:
    answer = edge(method, path, {} if method == "POST" else None)
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert answer.error["message"] == f"{path} does not take {method}."


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 413)], ids=["at it", "above it"])
def test_a_body_may_be_as_large_as_the_limit(edge: Edge, more: int, status: int) -> None:
    quotes = b'\\"' * ((LIMIT - 8) // 2)  # twice as long when lifted
    assert edge.chat(b'{"x":"' + quotes + b'"}' + b" " * more).status == status


@pytest.mark.parametrize(("chunks", "status"), [(30, 200), (31, 413), (400, 413)])
def test_the_limit_holds_for_a_body_of_unknown_length(edge: Edge, chunks: int, status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=10)
    parts = [b'{"x":"', *[b"A" * 65_536] * chunks, b'"}']
    headers = {"content-type": "application/json", "transfer-encoding": "chunked"}
    with contextlib.closing(connection):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", "/v1/chat/completions", iter(parts), headers, encode_chunked=True)
        assert connection.getresponse().status == status


def test_a_huge_body_is_413(edge: Edge) -> None:
    answer = edge.chat(b" " * 100_000_000)
    assert (answer.status, answer.error["code"]) == (413, "body_too_large")
    assert str(LIMIT) in answer.error["message"]


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n"


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        pytest.param(HEAD + b"x: " + b"x" * 70_000 + b"\r\n\r\n", 431, "headers", id="headers"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, "missing_host_header", id="no host"),
        pytest.param(b"hello\r\n\r\n", 400, "codec_error", id="not HTTP"),
    ],
)
def test_a_request_that_is_no_request_is_refused(
    edge: Edge, request_: bytes, status: int, reason: str
) -> None:
    answer = edge.raw(request_)
    assert (answer.status, answer.error["type"]) == (status, "invalid_request_error")
    assert reason in answer.error["message"]


def test_half_a_request_is_408_in_the_end(tmp_path: Path) -> None:
    with running(tmp_path, 1, ready=False, upload_timeout=0.3) as edge:
        answer = edge.raw(HEAD + b"content-length: 9\r\n\r\n{")
    assert (answer.status, answer.error["type"]) == (408, "timeout_error")
