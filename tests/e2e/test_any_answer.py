"""Any answer of OpenAI's shape, whole or in chunks, comes back to REST and gRPC callers as it was, with
what nobody knows yet under `extra`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.exchange import HI
from tests.openai_api import answers as any_
from tests.openai_api.says import whole
from tests.openai_api.shapes import (
    ANSWER_MESSAGE,
    CHUNK,
    COMPLETION,
    at_caller,
    joined,
    spare,
    told,
    without_extra,
)
from tests.upstream import Told

if TYPE_CHECKING:
    from tests.exchange import Ways
    from tests.upstream import Upstream

each_way = pytest.mark.parametrize("way", ["rest", "grpc"])
# A slow machine is no fault of the examples.
EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@each_way
@EXAMPLES
@given(answer=any_.completions())
def test_any_answer_comes_back_as_it_was(
    ways: Ways, upstream: Upstream, way: str, answer: dict[str, Any]
) -> None:
    [came] = ways.hear(way, upstream, Told(whole=answer))
    assert told(came) == told(spare(at_caller(answer, COMPLETION)))


@each_way
@EXAMPLES
@given(chunks=any_.streams(), asked=st.booleans())
def test_any_streamed_answer_comes_back_as_it_was(
    ways: Ways,
    upstream: Upstream,
    way: str,
    chunks: list[dict[str, Any]],
    asked: bool,
) -> None:
    options = {"include_usage": asked}
    came = ways.hear(way, upstream, Told(events=chunks), stream_options=options)
    expected = [spare(at_caller(chunk, CHUNK)) for chunk in (chunks if asked else chunks[:-1])]
    assert told(joined(came)) == told(joined(expected))


@EXAMPLES
@given(message=any_.MESSAGES)
def test_any_message_given_back_reaches_the_upstream_as_it_was(
    ways: Ways, upstream: Upstream, message: dict[str, Any]
) -> None:
    [came] = ways.hear("rest", upstream, Told(whole=whole({"index": 0, "message": message})))
    given_back = came["choices"][0]["message"]
    ways.ask("rest", "ok", {"model": "m", "messages": [*HI, given_back]})
    expected = without_extra(spare(at_caller(message, ANSWER_MESSAGE)))
    assert told(upstream.last().body["messages"]) == told([*HI, expected])
