"""Which web pages may call: the service spends money, so only those that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from interference_edge.lua import origin_pattern
from tests.envoy.lua_edge import LuaEdge

if TYPE_CHECKING:
    from tests.envoy.real_envoy import Edge
    from tests.envoy.stub_worker import Calls

ASKS = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://127.0.0.1", "http://localhost"])
def test_a_page_of_this_machine_may_call(edge: Edge, origin: str) -> None:
    preflight = edge("OPTIONS", "/v1/chat/completions", headers={"origin": origin, **ASKS})
    assert preflight.status == 200
    assert preflight.headers["access-control-allow-origin"] == origin
    assert preflight.headers["access-control-allow-headers"] == "*, authorization"
    answer = edge.chat({"model": "m"}, {"origin": origin})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, origin)


@pytest.mark.parametrize("model", ["told", "failed", "limited"])
def test_a_page_can_read_every_header(edge: Edge, model: str) -> None:
    headers = edge.chat({"model": model}, {"origin": "http://localhost:3000"}).headers
    # The star stands for all, as no page sends cookies here:
    # https://fetch.spec.whatwg.org/#http-access-control-expose-headers
    assert headers["access-control-expose-headers"] == "*"
    assert "access-control-allow-credentials" not in headers
    assert "x-request-id" in headers


def test_an_allowed_page_can_read_errors(edge: Edge) -> None:
    for body in (b"{", b'{"n":"x"}', b'{"model":"unknown"}'):
        answer = edge.chat(body, {"origin": "http://localhost:3000"})
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


FOREIGN = ["https://example.org", "null", "http://localhost.example.org", "http://localhost:1/x"]


@pytest.mark.parametrize("origin", FOREIGN)
def test_another_page_is_refused(edge: Edge, calls: Calls, origin: str) -> None:
    for answer in (
        edge("OPTIONS", "/v1/chat/completions", headers={"origin": origin, **ASKS}),
        edge.chat({"model": "m"}, {"origin": origin}),
        edge.chat({"model": "m"}, {"origin": origin, "content-type": "text/plain"}),
    ):
        assert (answer.status, answer.error["type"]) == (403, "permission_error")
        assert origin in answer.error["message"]
        assert "access-control-allow-origin" not in answer.headers
    assert not calls.requests


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        pytest.param("http://192.0.2.1:1337", "192.0.2.1:1337", 200, id="an address"),
        pytest.param("http://[2001:db8::1]:80", "[2001:db8::1]:80", 200, id="an IPv6 address"),
        pytest.param("http://192.0.2.1:1337", "192.0.2.1:1338", 403, id="another port"),
        pytest.param("http://example.org", "example.org", 403, id="a name may be rebound"),
    ],
)
def test_a_page_may_call_the_address_that_it_came_from(
    edge: Edge, origin: str, host: str, status: int
) -> None:
    assert edge("GET", "/v1/models", headers={"origin": origin, "host": host}).status == status


@pytest.mark.parametrize(
    ("allowed", "origin", "fits"),
    [
        pytest.param("https://a-b.example.org", "https://a-b.example.org", True, id="exact"),
        pytest.param("https://a.example.org", "https://aXexample.org", False, id="a dot is a dot"),
        pytest.param("https://*.example.org", "https://a.example.org", True, id="a star"),
        pytest.param("https://*.example.org", "https://x/.example.org", False, id="no slash"),
        pytest.param("*", "null", True, id="anything"),
    ],
)
def test_a_star_stands_for_any_part(allowed: str, origin: str, fits: bool) -> None:
    find = LuaEdge().runtime.eval(b"function(s, p) return string.find(s, p) ~= nil end")
    assert find(origin.encode(), origin_pattern(allowed).encode()) is fits
