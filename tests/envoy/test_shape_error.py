"""How the transcoder's google.rpc.Status becomes OpenAI's error body."""

from __future__ import annotations

import json

import pytest

from tests.envoy.lua_edge import LuaEdge

EDGE = LuaEdge()
TYPE = "type.googleapis.com/interference.v1.ErrorResponse"


def test_the_detail_is_the_answer() -> None:
    other = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": TYPE}
    detail = {"@type": TYPE, "model": "m", "error": {"message": 'a "b"\n', "code": "c"}}
    status = {"code": 5, "message": "x", "details": [other, detail]}
    assert EDGE.shape_error(json.dumps(status).encode(), 404) == (
        b'{"error":{"message": "a \\"b\\"\\n","code": "c","param":null},"model": "m"}'
    )


def test_what_has_the_shape_stays() -> None:
    assert EDGE.shape_error(b'{"error":{}}', 404) == b'{"error":{}}'


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (408, "timeout_error"),
        (413, "invalid_request_error"),
        (429, "rate_limit_error"),
        (499, "invalid_request_error"),
        (500, "api_error"),
        (503, "api_error"),
        (504, "timeout_error"),
    ],
)
def test_the_type_follows_the_status(status: int, kind: str) -> None:
    body = json.loads(EDGE.shape_error(b'{"code":14,"message":"m"}', status))
    assert body["error"] == {"message": "m", "type": kind, "param": None, "code": "unavailable"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"upstream reset", id="text"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b'{"code":"x","details":5}', id="other types"),
        pytest.param(b'{"code":99,"message":"","details":[]}', id="an unknown code"),
        pytest.param(b'{"details":[{"@type":"' + TYPE.encode() + b'"}]}', id="an empty detail"),
    ],
)
def test_anything_else_becomes_an_error_too(body: bytes) -> None:
    assert json.loads(EDGE.shape_error(body, 500))["error"] == {
        "message": "The call failed: unknown.",
        "type": "api_error",
        "param": None,
        "code": "unknown",
    }


def test_anthropics_shape_has_a_type_of_its_own() -> None:
    status = json.dumps({"code": 5, "message": "Not here."}).encode()
    shaped = json.loads(EDGE.shape_error_as("anthropic", status, 404))
    assert shaped["type"] == "error"
    assert shaped["error"] == {
        "type": "not_found_error",
        "message": "Not here.",
        "param": None,
        "code": "not_found",
    }


def test_anthropic_has_a_word_for_what_is_too_large() -> None:
    body = b'{"error":{"message":"Large.","type":"invalid_request_error","param":null,"code":"c"}}'
    shaped = json.loads(EDGE.shape_error_as("anthropic", body, 413))
    assert shaped["error"]["type"] == "request_too_large"
