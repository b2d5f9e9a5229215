"""Any chat request of OpenAI's shape equals itself at the upstream: through the edge, the transcoder, the
contract and the driver, or through the contract and the driver alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.calls import rest_text
from tests.openai_api import requests as any_
from tests.openai_api.asks import changed
from tests.openai_api.shapes import at_upstream, told

if TYPE_CHECKING:
    from tests.exchange import Ways
    from tests.upstream import Upstream

# A slow machine is no fault of the examples.
EXAMPLES = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[str, Any], bool]:
    """A request and whether to stream its answer."""
    request = draw(any_.REQUESTS)
    stream = draw(st.booleans())
    if stream and draw(st.booleans()):
        request["stream_options"] = draw(any_.STREAM_OPTIONS)
    return request, stream


def expected(request: dict[str, Any], *, stream: bool) -> Any:
    """What the upstream must see: `at_upstream` says what may differ."""
    return told(at_upstream(request) | ({"stream": True} if stream else {}))


@EXAMPLES
@given(
    made=requests(),
    provider=st.sampled_from(["ok", " ok\t", ["ok"]]),
    escaped=st.booleans(),
    space=st.sampled_from(["", " ", "\n\t"]),
)
def test_any_request_over_rest_equals_itself_at_the_upstream(
    ways: Ways,
    upstream: Upstream,
    made: tuple[dict[str, Any], bool],
    provider: Any,
    escaped: bool,
    space: str,
) -> None:
    request, stream = made
    sent = {"provider": provider, **request, "stream": stream}
    text = any_.written(sent, escaped=escaped, space=space)
    outcome = rest_text(ways.service, text.encode(), stream=stream)
    assert (outcome.code, outcome.error) == (200, {})
    assert told(upstream.last().body) == expected(request, stream=stream)
    assert changed(upstream, request) == []


@EXAMPLES
@given(made=requests())
def test_any_request_over_grpc_equals_itself_at_the_upstream(
    ways: Ways, upstream: Upstream, made: tuple[dict[str, Any], bool]
) -> None:
    request, stream = made
    ways.ask("grpc", "ok", request, stream=stream)
    assert told(upstream.last().body) == expected(request, stream=stream)
    assert changed(upstream, request) == []
