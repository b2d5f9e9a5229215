"""Bad input never hangs, crashes a worker, or gets an answer that is not JSON of OpenAI's shape."""

import json
import socket
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.calls import TIMEOUT, body, rest
from tests.service import Service
from tests.upstream import TEXT, Upstream

DEEP = 100_000
CHAT = "/v1/chat/completions"
GOOD = json.dumps(body("ok")).encode()


def post(service: Service, data: bytes, path: str = CHAT, **options: Any) -> requests.Response:
    return requests.post(service.url + path, data=data, timeout=TIMEOUT, **options)


def check(answer: requests.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]


@pytest.fixture(autouse=True)
def _the_service_lives_on(service: Service) -> Any:
    """No worker may have been restarted, and the next request is answered."""
    before = service.program.descendants()
    yield
    assert service.program.descendants() == before
    assert rest(service, body("ok")).text == TEXT


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"   ", id="white space"),
        pytest.param(b"{", id="an open object"),
        pytest.param(GOOD[:-1], id="one byte short"),
        pytest.param(GOOD + b"x", id="one byte long"),
        pytest.param(GOOD + GOOD, id="twice"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"text"', id="a string"),
        pytest.param(b"5", id="a number"),
        pytest.param(b"null", id="null"),
        pytest.param(b"<xml/>", id="XML"),
        pytest.param(b"model=m&messages=Hi", id="a form"),
        pytest.param(b"{'model': 'm'}", id="single quotes"),
        pytest.param(GOOD.replace(b"Hi", b"\xff\xfe"), id="invalid UTF-8"),
        pytest.param(b"\xff\xfe" + GOOD.decode().encode("utf-16-le"), id="UTF-16"),
        pytest.param(b"[" * DEEP, id="deep lists, open"),
        pytest.param(b'{"a":' * DEEP, id="deep objects, open"),
        pytest.param(b'{"messages":' + b"[" * DEEP + b"]" * DEEP + b"}", id="deep lists in a field"),
        pytest.param(b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}", id="deep lists in an unknown member"),
        pytest.param(b'{"x":' * DEEP + b"1" + b"}" * DEEP, id="deep objects in an unknown member"),
        pytest.param(GOOD.replace(b'"m"', b"5e999"), id="a number beyond all bounds"),
        pytest.param(
            b'{"model": "m", "provider": "ok", "messages": [{"role": "user", "content": 5}]}', id="content"
        ),
        pytest.param(b'{"model": ["m"], "provider": "ok", "messages": []}', id="a list for a string"),
        pytest.param(b'{"messages": {"role": {"a": 1}}}', id="an object for a string"),
        pytest.param(b'{"temperature": "hot", "messages": [{"role": "user"}]}', id="a word for a number"),
        pytest.param(b'{"n": 1.5, "messages": [{"role": "user"}]}', id="a fraction for an integer"),
        pytest.param(b'{"n": 99999999999, "messages": [{"role": "user"}]}', id="a large integer"),
        pytest.param(b'{"stream": "yes", "messages": [{"role": "user"}]}', id="a word for a boolean"),
    ],
)
def test_a_body_that_is_wrong_is_a_400(service: Service, data: bytes) -> None:
    check(post(service, data), 400)


@pytest.mark.parametrize("megabytes", [10, 100])
def test_a_body_that_is_too_large_is_a_413(service: Service, megabytes: int) -> None:
    text = b"a" * (megabytes * 2**20)
    status, answer = _send_all(service, GOOD.replace(b"Hi", text))
    assert status == 413
    assert json.loads(answer)["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("name", ["e" * 40_000, "\U0001f600" * 10_000])
@pytest.mark.parametrize("field", ["model", "provider"])
def test_a_long_name_costs_others_nothing(service: Service, name: str, field: str) -> None:
    url = service.base_url + "/chat/completions"
    with requests.post(url, json=body("slow", stream=True), stream=True, timeout=TIMEOUT) as other:
        lines = other.iter_lines()
        assert next(lines)
        for _ in range(8):
            check(post(service, json.dumps(body("ok") | {field: name}).encode()), 400)
        assert [line for line in lines if line][-1] == b"data: [DONE]"


def test_a_large_body_within_the_limit_arrives(service: Service, upstream: Upstream) -> None:
    text = "a" * (8 * 2**20)
    assert rest(service, body("ok", messages=[{"role": "user", "content": text}])).text == TEXT
    assert upstream.last().body["messages"][0]["content"] == text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/nope", 404, id="an unknown path"),
        pytest.param("GET", "/v1/../../etc/passwd", 404, id="dots"),
        pytest.param("GET", "/media/..%2f..%2fetc%2fpasswd", 404, id="encoded dots"),
        pytest.param("GET", "/media/nothing.png", 404, id="an unknown image"),
        pytest.param("GET", "/v1/%00%ff", 404, id="odd bytes"),
        pytest.param("GET", "/v1/providers/%22%5c%0a", 404, id="a quote in a name"),
        pytest.param("PUT", CHAT, 405, id="PUT"),
        pytest.param("PATCH", "/v1/providers", 405, id="PATCH"),
        pytest.param("NONSENSE", "/v1/providers", 400, id="an unknown method"),
        pytest.param("GET", "/v1/providers?x=1", 400, id="an unknown query parameter"),
        pytest.param("POST", f"{CHAT}?stream=true", 400, id="a query parameter of a body's path"),
        pytest.param("GET", "/v1/models/" + "a/" * 2000, 400, id="a long path"),
        pytest.param("GET", "/v1/providers/Echo?provider=Canvas", 400, id="a query that names the path's"),
        pytest.param("POST", "/interference.v1.Chat/CreateCompletion", 404, id="JSON to a gRPC path"),
    ],
)
def test_what_is_not_there_is_told_in_json(service: Service, method: str, path: str, status: int) -> None:
    request = requests.Request(method, service.url).prepare()
    request.url = service.url + path
    with requests.Session() as session:
        check(session.send(request, timeout=TIMEOUT), status, 400 if "%" in path else status)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", id="a version that is none"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n", id="a bad header"),
        pytest.param(
            b"GET /v1/models HTTP/1.1\r\nhost: x\r\na: " + b"b" * 200_000 + b"\r\n\r\n", id="a long one"
        ),
        pytest.param(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n"
            b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            id="two lengths",
        ),
    ],
)
def test_what_is_not_http_is_refused_at_once(service: Service, raw: bytes) -> None:
    host, _, port = service.envoy.partition(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
        connection.sendall(raw)
        answer = connection.recv(65_536)
    status, _, rest_ = answer.partition(b"\r\n")
    assert not answer or status.split()[1][:1] == b"4", answer
    assert b"<html" not in rest_.lower()


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(
    [
        "model",
        "provider",
        "messages",
        "stream",
        "tools",
        "stop",
        "n",
        "tool_choice",
        "metadata",
        "content",
        "role",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(names | st.text(max_size=8), values, max_size=6))
def test_any_json_object_is_answered_with_json(service: Service, document: dict[str, Any]) -> None:
    answer = post(service, json.dumps({"model": "m", "provider": "ok"} | document).encode())
    assert answer.status_code in (200, 400, 404), answer.text
    if answer.headers["content-type"] != "text/event-stream":
        assert answer.headers["content-type"] == "application/json"
        answer.json()


def _send_all(service: Service, data: bytes) -> tuple[int, bytes]:
    """Sends a body although the answer may come before its end, which `requests` cannot."""
    host, _, port = service.envoy.partition(":")
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
        connection.sendall(head.encode())
        try:
            for start in range(0, len(data), 65_536):
                connection.sendall(data[start : start + 65_536])
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        while block := connection.recv(65_536):
            answer += block
            if b"}}" in answer:
                break
    headers, _, content = answer.partition(b"\r\n\r\n")
    return int(headers.split()[1]), content
