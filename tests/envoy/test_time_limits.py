"""A REST caller's time limit: two headers that may say it, one that reaches the worker."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interference.v1 import chat_pb2, chat_pb2_grpc
from tests.envoy.lua_edge import LuaEdge

if TYPE_CHECKING:
    from tests.envoy.real_envoy import Edge
    from tests.envoy.stub_worker import Calls

EDGE = LuaEdge()


@pytest.mark.parametrize(
    ("grpc_timeout", "request_timeout", "limit"),
    [
        pytest.param("2S", None, "2", id="seconds of gRPC"),
        pytest.param("1H", None, "3600", id="hours"),
        pytest.param("3M", None, "180", id="minutes of gRPC"),
        pytest.param("500m", None, "0.5", id="milliseconds of gRPC"),
        pytest.param("1500u", None, "0.0015", id="microseconds"),
        pytest.param("2500001n", None, "0.002500001", id="nanoseconds"),
        pytest.param("0S", None, "0.001", id="no time left"),
        pytest.param("99999999H", None, "3600", id="longer than any call may last"),
        pytest.param(None, "2", "2", id="a number"),
        pytest.param(None, "0.50", "0.5", id="a fraction"),
        pytest.param(None, "100", "100", id="zeros that count"),
        pytest.param(None, "500ms", "0.5", id="milliseconds"),
        pytest.param(None, "2s", "2", id="seconds"),
        pytest.param(None, "1.5m", "90", id="minutes"),
        pytest.param("2S", "0.5", "0.5", id="ours is sooner"),
        pytest.param("500m", "2s", "0.5", id="gRPC's is sooner"),
        pytest.param(None, "9999", "9999", id="ours too long, for the worker to refuse"),
        pytest.param(None, None, None, id="neither"),
    ],
)
def test_the_soonest_is_passed_on_in_seconds(
    edge: Edge, calls: Calls, grpc_timeout: str | None, request_timeout: str | None, limit: str | None
) -> None:
    given_ = {"grpc-timeout": grpc_timeout, "x-request-timeout": request_timeout}
    headers = {name: value for name, value in given_.items() if value is not None}
    assert edge.chat({"model": "m"}, headers).status == 200
    assert calls.metadata[-1].get("x-request-timeout") == limit
    assert calls.remaining[-1] is None, "gRPC would end the call by itself"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("grpc-timeout", value) for value in ("bogus", "5", "123456789S", "1.5S", "-1S", "2s")),
        *(("x-request-timeout", value) for value in ("bogus", "-1", "1e3", "1.", ".5", "1..5", "1.5.5")),
        *(("x-request-timeout", value) for value in ("2S", "5h", "1 s", "inf", "nan", "1,2", "0x10")),
        ("x-request-timeout", "1" * 17),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/models"), ("POST", "/v1/messages")])
def test_a_wrong_one_is_400_and_named(
    edge: Edge, calls: Calls, name: str, value: str, method: str, path: str
) -> None:
    other = {"x-request-timeout": "5", "grpc-timeout": "5S"}
    answer = edge(method, path, {} if method == "POST" else None, headers={**other, name: value})
    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert answer.json()["error"]["message"].startswith(f"{name} must be")
    assert answer.json()["error"]["param"] == name
    assert not calls.requests


def test_an_empty_one_is_wrong_too() -> None:
    for wrong in (EDGE.time_limit(b"", None), EDGE.time_limit(None, b"")):
        assert wrong[0] is None
        assert b"must be" in wrong[1]


@given(st.integers(0, 10**9), st.sampled_from("HMSmun"), st.binary(max_size=20) | st.none())
def test_any_limit_is_a_plain_number_or_refused(number: int, unit: str, ours: bytes | None) -> None:
    seconds = dict(zip("HMSmun", map(Decimal, ("3600", "60", "1", "1e-3", "1e-6", "1e-9")), strict=True))
    limit, wrong = EDGE.time_limit(f"{number}{unit}".encode(), ours)
    if wrong is not None:
        assert limit is None
        assert number > 99_999_999 or ours is not None
    else:
        assert set(limit) <= set(b"0123456789.")
        assert Decimal(limit.decode()) <= max(number * seconds[unit], Decimal("0.001"))


def test_a_grpc_caller_keeps_both(edge: Edge, calls: Calls) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{edge.port}") as channel:
        request = chat_pb2.CreateCompletionRequest(model="m")
        own = (("x-request-timeout", "whatever"),)
        chat_pb2_grpc.ChatStub(channel).CreateCompletion(request, timeout=5, metadata=own)
    assert calls.metadata[-1]["x-request-timeout"] == "whatever"
    assert calls.remaining[-1] is not None
    assert 0 < calls.remaining[-1] < 6


def test_a_page_may_send_it(edge: Edge) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "x-request-timeout"}
    origin = {"origin": "http://localhost:3000"}
    allowed = edge("OPTIONS", "/v1/chat/completions", headers={**origin, **asks})
    assert allowed.headers["access-control-allow-headers"].split(", ")[0] == "*"
