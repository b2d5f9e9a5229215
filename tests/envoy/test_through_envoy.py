"""REST through the real Envoy: what reaches the worker, and what comes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.envoy.stub_worker import TOLD

if TYPE_CHECKING:
    from tests.envoy.real_envoy import Edge
    from tests.envoy.stub_worker import Calls


def test_a_completion_is_transcoded(edge: Edge, calls: Calls) -> None:
    body = {"model": "m", "provider": "A B", "top_k": 5, "messages": [{"content": "hi"}]}
    answer = edge.chat(body)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"id": "1", "object": "chat.completion", "model": "m"}
    request = calls.requests[-1]
    assert list(request.providers) == ["A", "B"]
    assert request.messages[0].content[0].text == "hi"
    assert json.loads(request.extra_json) == {"top_k": 5}
    assert calls.metadata[-1]["x-envoy-original-path"] == "/v1/chat/completions"


@pytest.mark.parametrize("kind", ["text/plain", "application/grpcx", "application/json; charset=utf-8"])
def test_any_content_type_but_grpc_is_json(edge: Edge, calls: Calls, kind: str) -> None:
    assert edge.chat({"model": "m", "top_k": 5}, {"content-type": kind}).status == 200
    assert calls.requests[-1].extra_json == '{"top_k": 5}'


def events(body: bytes) -> list[str]:
    assert body.endswith(b"\n\n")
    return [event.removeprefix("data: ") for event in body.decode()[:-2].split("\n\n")]


def test_true_for_stream_picks_the_streaming_call(edge: Edge, calls: Calls) -> None:
    answer = edge.chat({"model": "m", "stream": True})
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    *chunks, last = events(answer.body)
    contents = [json.loads(chunk)["choices"][0]["delta"]["content"] for chunk in chunks]
    assert contents == [f"data: {{}}\n\n{index}" for index in range(3)]
    assert last == "[DONE]"
    assert calls.metadata[-1]["x-envoy-original-path"] == "/v1/chat/completions:stream"


def test_an_empty_query_survives_the_change_of_the_path(edge: Edge) -> None:
    answer = edge("POST", "/v1/chat/completions?", {"model": "m", "stream": True})
    assert answer.headers["content-type"] == "text/event-stream"


def test_a_stream_that_breaks_ends_in_its_error(edge: Edge) -> None:
    last = json.loads(events(edge.chat({"model": "breaks", "stream": True}).body)[-1])
    error = {"message": "It broke.", "type": "api_error", "param": None, "code": "server_error"}
    assert last == {"error": error}


def test_resources_show_all_of_their_fields(edge: Edge) -> None:
    assert edge("GET", "/v1/models").json()["data"][0]["owned_by"] == ""
    assert [item["url"] for item in edge("GET", "/v1/providers").json()] == ["", ""]
    assert edge("GET", "/v1/providers/A").json()["models"] == []


@pytest.mark.parametrize("path", ["/v1/models/a/b", "/v1/models/a%2Fb"])
def test_a_model_id_may_hold_slashes(edge: Edge, path: str) -> None:
    assert edge("GET", path).json()["id"] == "a/b"


def test_a_file_comes_with_its_type_and_headers(edge: Edge) -> None:
    answer = edge("GET", "/media/a.png")
    assert (answer.status, answer.body) == (200, b"\x89PNG\x00\xff")
    assert answer.headers["content-type"] == "image/png"
    assert (answer.headers["etag"], answer.headers["cache-control"]) == ('"e"', "max-age=9")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("cached", id="the call is aborted"),
        pytest.param("known", id="the call succeeds"),
    ],
)
def test_304_has_no_body(edge: Edge, name: str) -> None:
    answer = edge("GET", f"/media/{name}")
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", '"e"')
    assert not {"content-type", "content-length"} & answer.headers.keys()


def test_images_are_larger_than_any_default_limit(edge: Edge) -> None:
    answer = edge("POST", "/v1/images/generate", {"prompt": "p", "n": 12})
    assert (answer.status, len(answer.json()["data"][0]["b64_json"])) == (200, 12_000_000)


ERROR = {
    "error": {"message": 'No "such" model.', "type": "not_found_error", "param": "model"},
    "model": "m",
    "attempts": [{"provider": "P", "cause": "no_such_model", "duration_ms": 1.5}],
}


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize(
    ("model", "status"),
    [
        pytest.param("unknown", 404, id="by the gRPC status"),
        pytest.param("unprocessable", 422, id="by the metadata"),
    ],
)
def test_an_error_of_the_worker_is_its_detail(edge: Edge, model: str, status: int, stream: bool) -> None:
    answer = edge.chat({"model": model, "stream": stream})
    assert answer.status == status
    assert answer.error["code"] is None
    body = answer.json()
    assert next(iter(body)) == "error"
    del body["error"]["code"]
    assert body == ERROR


def test_an_error_of_a_file_is_an_error_too(edge: Edge) -> None:
    assert edge("GET", "/media/unprocessable").status == 422
    assert edge("GET", "/media/unknown").error["param"] == "model"


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize(
    ("model", "status", "expected"),
    [
        pytest.param(
            "limited",
            429,
            {
                "message": 'too "many"',
                "type": "rate_limit_error",
                "param": None,
                "code": "resource_exhausted",
            },
            id="with a message",
        ),
        pytest.param(
            "silent",
            501,
            {
                "message": "The call failed: unimplemented.",
                "type": "api_error",
                "param": None,
                "code": "unimplemented",
            },
            id="without one",
        ),
    ],
)
def test_an_error_without_details_is_made_of_its_status(
    edge: Edge, model: str, status: int, expected: dict[str, str | None], stream: bool
) -> None:
    answer = edge.chat({"model": model, "stream": stream})
    assert (answer.status, answer.error) == (status, expected)


def test_retry_after_reaches_the_caller(edge: Edge) -> None:
    assert edge.chat({"model": "limited"}).headers["retry-after"] == "7"


@pytest.mark.parametrize("model", ["m", "unknown", "unprocessable", "limited"])
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_nothing_of_grpc_or_envoy_leaks(edge: Edge, model: str, stream: bool) -> None:
    headers = edge.chat({"model": model, "stream": stream}).headers
    assert not [name for name in headers if name.startswith(("grpc-", "x-envoy-", "x-interference-"))]
    assert not {"server", "trailer"} & headers.keys()


@pytest.mark.parametrize(
    ("path", "stream"),
    [
        pytest.param("/v1/chat/completions", False, id="unary"),
        pytest.param("/v1/chat/completions", True, id="stream"),
        pytest.param("/api/B/v1/chat/completions", False, id="below a provider"),
        pytest.param("/v1/messages", True, id="another dialect"),
        pytest.param("/v1/embeddings", False, id="an answer that is shaped anew"),
    ],
)
def test_callers_are_told_who_answered_and_who_was_asked(edge: Edge, path: str, stream: bool) -> None:
    answer = edge("POST", path, {"model": "told"} | ({"stream": True} if stream else {}))
    assert answer.status == 200
    assert ours(answer.headers) == dict(TOLD)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/chat/completions", {"model": "told behind"}, id="as it is"),
        pytest.param("/v1/chat/completions", {"model": "told behind a large answer"}, id="large"),
        pytest.param(
            "/v1/chat/completions", {"model": "told behind", "logprobs": True}, id="with logprobs"
        ),
        pytest.param("/api/B/v1/chat/completions", {"model": "told behind"}, id="below a provider"),
        pytest.param("/v1/embeddings", {"model": "told behind"}, id="shaped anew"),
    ],
)
def test_what_comes_behind_a_whole_answer_is_told_in_front(
    edge: Edge, path: str, body: dict[str, object]
) -> None:
    answer = edge("POST", path, body)
    assert answer.status == 200
    assert len(answer.body) == int(answer.headers["content-length"])
    assert ours(answer.headers) == dict(TOLD)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_callers_are_told_who_failed(edge: Edge, stream: bool) -> None:
    answer = edge.chat({"model": "failed", "stream": stream})
    assert answer.status == 503
    assert ours(answer.headers) == dict(TOLD[-1:])


def ours(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("x-interference-")}


def test_headers_reach_the_worker_but_for_the_edges_own(edge: Edge, calls: Calls) -> None:
    edge.chat(
        {"model": "m"},
        headers={
            "host": "example.org:8080",
            "x-forwarded-proto": "https",
            "x-forwarded-host": "elsewhere",
            "x-forwarded-for": "10.0.0.1",
            "authorization": "Bearer k",
            "g4f-api-key": "k",
            "x-request-id": "r",
            "x-interference-status": "200",
            "x-envoy-original-path": "/",
            "x-envoy-upstream-rq-timeout-ms": "1",
        },
    )
    got = calls.metadata[-1]
    assert got["x-forwarded-host"] == "example.org:8080"
    assert got["x-forwarded-proto"] == "https"
    assert (got["authorization"], got["g4f-api-key"], got["x-request-id"]) == ("Bearer k", "k", "r")
    assert got["x-envoy-original-path"] == "/v1/chat/completions"
    own = {name for name in got if name.startswith(("x-interference-", "x-envoy-"))}
    assert own == {"x-envoy-original-path", "x-envoy-original-method"}


def test_an_answer_has_its_requests_id(edge: Edge) -> None:
    assert edge.chat({"model": "m"}, {"x-request-id": "r"}).headers["x-request-id"] == "r"


@pytest.mark.parametrize("path", ["/api/A/v1/chat/completions", "/api/A/chat/completions"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_path_chooses_the_provider(edge: Edge, calls: Calls, path: str, stream: bool) -> None:
    answer = edge("POST", path, {"model": "m", "stream": stream, "top_k": 5})
    assert answer.status == 200
    assert answer.headers["content-type"] == ("text/event-stream" if stream else "application/json")
    assert calls.requests[-1].extra_json == '{"top_k": 5}'
    assert calls.metadata[-1]["x-interference-provider"] == "A"


def test_a_path_with_a_provider_reaches_resources_too(edge: Edge, calls: Calls) -> None:
    assert edge("GET", "/api/A/v1/models/a/b").json()["id"] == "a/b"
    assert calls.metadata[-1]["x-interference-provider"] == "A"
    assert edge("GET", "/api/A/models").json()["data"][0]["owned_by"] == ""


def test_the_header_that_says_the_paths_provider_is_not_the_callers_to_give(
    edge: Edge, calls: Calls
) -> None:
    edge.chat({"model": "m"}, {"x-interference-provider": "A"})
    assert "x-interference-provider" not in calls.metadata[-1]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_below_a_provider_is_a_404(edge: Edge, method: str) -> None:
    answer = edge(method, "/api/A/v1/nothing", {} if method == "POST" else None)
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/api/A/v1/chat/completions", "POST"),
        ("PUT", "/api/A/chat/completions", "POST"),
        ("DELETE", "/api/A/v1/models", "GET"),
        ("POST", "/api/A/v1/models/a/b", "GET"),
    ],
)
def test_a_wrong_method_below_a_provider_is_a_405(edge: Edge, method: str, path: str, allow: str) -> None:
    answer = edge(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert answer.error["code"] == "method_not_allowed"


def test_a_path_with_a_query_that_is_not_there_is_a_404(edge: Edge) -> None:
    assert edge("POST", "/v1/messages/count_tokens?beta=true", {}).status == 404


@pytest.mark.parametrize(
    ("form", "vector"),
    [pytest.param("base64", "AAAA", id="base64"), pytest.param("float", [0.1, 2], id="floats")],
)
def test_a_vector_has_one_name_in_either_form(edge: Edge, form: str, vector: object) -> None:
    answer = edge("POST", "/v1/embeddings", {"model": "m", "input": "a", "encoding_format": form})
    assert answer.json() == {"object": "list", "data": [{"index": 0, "embedding": vector}]}
    assert answer.headers["content-length"] == str(len(answer.body))


def test_a_body_of_another_dialect_reaches_the_worker_as_it_is(edge: Edge, calls: Calls) -> None:
    body = b'{ "model":"m","x" : [1.0] }'
    answer = edge("POST", "/v1/messages", body)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    assert answer.body == b"event: a\ndata: {}\n\nevent: b\ndata: {}\n\n"
    assert calls.requests[-1].data == body


@pytest.mark.parametrize("path", ["/v1/messages?beta=true", "/api/A/v1/messages?beta=true"])
def test_a_vendors_marker_of_a_version_is_passed_over(edge: Edge, path: str) -> None:
    assert edge("POST", path, {"model": "m"}).status == 200


@pytest.mark.parametrize("path", ["/v1/messages", "/api/A/v1/messages", "/api/A/messages"])
def test_a_failure_of_another_dialect_has_its_vendors_shape(edge: Edge, path: str) -> None:
    answer = edge("POST", path, {"model": "unknown"})
    assert answer.status == 404
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        pytest.param("POST", "/v1/messages", b"", 400, "invalid_request_error", id="no body"),
        pytest.param("POST", "/v1/messages", b"a" * 2_000_001, 413, "request_too_large", id="too large"),
        pytest.param("GET", "/v1/messages", None, 405, "invalid_request_error", id="a wrong method"),
        pytest.param("POST", "/v1/messages/x", b"{}", 404, "not_found_error", id="an unknown path"),
    ],
)
def test_what_envoy_refuses_has_the_vendors_shape_too(
    edge: Edge, method: str, path: str, body: bytes | None, status: int, kind: str
) -> None:
    answer = edge(method, path, body)
    assert answer.status == status
    assert (answer.json()["type"], answer.json()["error"]["type"]) == ("error", kind)
