"""Anthropic's SDKs for Python and Node: what a caller of the Messages API gets."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.service import Service
from tests.upstream import RETRY_AFTER
from tests.upstreams.client import Client
from tests.upstreams.scripts import THOUGHTS, WORDS

ANSWER = "Hello from a tiny model."
HI = {"model": "wired", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
WEATHER = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"unit": {"type": "string"}, "exact": {"type": "boolean"}},
    },
}
LOOKUP = {**HI, "messages": [{"role": "user", "content": "#lookup"}], "tools": [WEATHER]}


@pytest.fixture(params=["anthropic/messages.py", "anthropic.mjs"])
def sdk(client: Callable[[str], Client], request: pytest.FixtureRequest) -> Client:
    return client(request.param)


def at(service: Service, provider: str = "") -> dict[str, str]:
    path = f"/api/{provider}" if provider else ""
    return {"base_url": f"{service.url}{path}", "key": "none"}


def test_it_gets_a_whole_message(sdk: Client, interference: Service) -> None:
    request = {**HI, "system": "Be brief."}
    message = sdk.does("whole", **at(interference, "AnotherProvider"), request=request)
    assert (message["type"], message["role"]) == ("message", "assistant")
    assert message["id"].startswith("msg_")
    assert message["provider"] == "AnotherProvider"
    assert (message["stop_reason"], message["stop_sequence"]) == ("end_turn", None)
    assert [(block["type"], block["text"]) for block in message["content"]] == [("text", ANSWER)]
    assert message["usage"]["output_tokens"] == 7


def test_it_streams_named_events_in_order(sdk: Client, interference: Service) -> None:
    events = sdk.does("events", **at(interference), request=HI)
    kinds = [event["type"] for event in events]
    assert [kind for kind, _ in itertools.groupby(kinds)] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    deltas = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(deltas) == ANSWER
    assert events[-2]["delta"]["stop_reason"] == "end_turn"
    assert events[-2]["usage"]["output_tokens"] == 7


def test_it_streams_a_tool_call_in_pieces(sdk: Client, interference: Service) -> None:
    events = sdk.does("events", **at(interference), request=LOOKUP)
    (start,) = (event["content_block"] for event in events if event["type"] == "content_block_start")
    assert (start["type"], start["name"], start["input"]) == ("tool_use", "get_weather", {})
    pieces = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert json.loads("".join(piece["partial_json"] for piece in pieces)) == {"unit": "c", "exact": True}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    "request_body", [pytest.param(HI, id="text"), pytest.param(LOOKUP, id="tool call")]
)
def test_it_puts_a_stream_together_as_the_whole(
    sdk: Client, interference: Service, request_body: dict[str, Any]
) -> None:
    whole = sdk.does("whole", **at(interference), request=request_body)
    together = sdk.does("together", **at(interference), request=request_body)
    assert said(together) == said(whole)


@pytest.mark.parametrize("task", ["whole", "together"])
def test_it_sees_the_thinking_before_the_text(sdk: Client, interference: Service, task: str) -> None:
    request = {**HI, "model": "thinks", "thinking": {"type": "enabled", "budget_tokens": 1024}}
    message = sdk.does(task, **at(interference), request={**request, "max_tokens": 2048})
    thinking, text = message["content"]
    assert (thinking["type"], thinking["thinking"]) == ("thinking", "".join(THOUGHTS))
    assert (text["type"], text["text"]) == ("text", "".join(WORDS))


@pytest.mark.parametrize("task", ["whole", "together"])
def test_it_is_told_when_the_answer_was_too_long(sdk: Client, interference: Service, task: str) -> None:
    message = sdk.does(task, **at(interference), request={**HI, "max_tokens": 2})
    assert message["stop_reason"] == "max_tokens"


@pytest.mark.parametrize("task", ["whole", "events"])
@pytest.mark.parametrize(
    ("request_body", "kind", "status", "error_type", "named"),
    [
        pytest.param(
            {**HI, "messages": [{"role": "user", "content": 3}]},
            "BadRequestError",
            400,
            "invalid_request_error",
            "messages[0].content",
            id="400",
        ),
        pytest.param(
            {**HI, "model": "no-such-model"},
            "NotFoundError",
            404,
            "not_found_error",
            "no-such-model",
            id="404",
        ),
        pytest.param(
            {**HI, "model": "Crowded/busy"}, "RateLimitError", 429, "rate_limit_error", "Crowded", id="429"
        ),
        pytest.param(
            {**HI, "model": "Overloaded/busy"},
            "ServiceUnavailableError",
            503,
            "api_error",
            "Overloaded",
            id="503",
        ),
    ],
)
def test_it_raises_with_an_error_of_anthropics_shape(
    sdk: Client,
    interference: Service,
    request_body: dict[str, Any],
    kind: str,
    status: int,
    error_type: str,
    named: str,
    task: str,
) -> None:
    error = sdk.raises(task, **at(interference), request=request_body)
    assert (error.name, error.status) == (kind, status)
    assert (error.body["type"], error.body["error"]["type"]) == ("error", error_type)
    assert named in error.body["error"]["message"]
    assert (error.retry_after is not None) == (status == 429)
    assert 0 <= int(error.retry_after or 0) <= RETRY_AFTER


@pytest.mark.parametrize("model", ["cut-later", "error-later"])
@pytest.mark.parametrize("task", ["events", "together"])
def test_it_raises_where_a_stream_breaks_after_its_first_words(
    sdk: Client, interference: Service, model: str, task: str
) -> None:
    error = sdk.raises(task, **at(interference), request={**HI, "model": model})
    assert error.name in ("APIError", "APIStatusError")
    assert error.body["type"] == "error"


def said(message: dict[str, Any]) -> dict[str, Any]:
    """The message without what differs from call to call, and what the SDKs' helpers add."""
    passing = {"id", "parsed_output"}
    content = [{k: v for k, v in block.items() if k not in passing} for block in message["content"]]
    kept = {k: v for k, v in message.items() if k not in passing}
    return {**kept, "content": content, "usage": tokens(message["usage"])}


def tokens(usage: dict[str, Any]) -> tuple[int, int]:
    """Those read, from the model server's cache or not, and those written."""
    read = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return sum(usage.get(count) or 0 for count in read), usage["output_tokens"]
