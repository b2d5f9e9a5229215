"""Which provider a path names, and what is left of the path."""

from __future__ import annotations

import pytest

from tests.envoy.lua_edge import LuaEdge

EDGE = LuaEdge()


@pytest.mark.parametrize(
    ("path", "rest", "provider"),
    [
        pytest.param("/api/A/v1/chat/completions", "/v1/chat/completions", "A", id="a base URL"),
        pytest.param("/api/A/chat/completions", "/v1/chat/completions", "A", id="without the version"),
        pytest.param("/api/A/v1/models/a/b", "/v1/models/a/b", "A", id="a model with a slash"),
        pytest.param("/api/A%20B/v1/models", "/v1/models", "A B", id="two providers"),
        pytest.param("/api/%C3%A4/models", "/v1/models", "%C3%A4", id="what no header can hold"),
        pytest.param("/api/%0Ax/models", "/v1/models", "%0Ax", id="an injected line"),
        pytest.param("/api/A", "/api/A", "", id="nothing after it"),
        pytest.param("/v1/models", "/v1/models", "", id="no provider"),
        pytest.param("/v1/api/A/models", "/v1/api/A/models", "", id="elsewhere"),
    ],
)
def test_a_path_may_name_a_provider(path: str, rest: str, provider: str) -> None:
    assert EDGE.split_provider(path) == (rest, provider)
