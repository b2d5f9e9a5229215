"""OpenAI's SDKs for Python and Node, over the Responses API: what a caller of it gets."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.service import Service
from tests.upstreams.client import Client
from tests.upstreams.scripts import THOUGHTS, WORDS

ANSWER = "Hello from a tiny model."
HI = {"model": "wired", "input": "Hi"}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"unit": {"type": "string"}, "exact": {"type": "boolean"}},
    },
}
LOOKUP = {"model": "wired", "input": "#lookup", "tools": [WEATHER]}


@pytest.fixture(params=["openai/responses.py", "openai_responses.mjs"])
def sdk(client: Callable[[str], Client], request: pytest.FixtureRequest) -> Client:
    return client(request.param)


def at(service: Service, provider: str = "") -> dict[str, str]:
    path = f"/api/{provider}" if provider else ""
    return {"base_url": f"{service.url}{path}/v1", "key": "none"}


def test_it_gets_a_whole_response(sdk: Client, interference: Service) -> None:
    request = {**HI, "instructions": "Be brief."}
    response = sdk.does("whole", **at(interference, "AnotherProvider"), request=request)
    assert (response["object"], response["status"], response["error"]) == ("response", "completed", None)
    assert response["id"].startswith("resp_")
    assert response["instructions"] == "Be brief."
    assert response["provider"] == "AnotherProvider"
    (message,) = response["output"]
    assert (message["type"], message["role"], message["status"]) == ("message", "assistant", "completed")
    assert [(part["type"], part["text"]) for part in message["content"]] == [("output_text", ANSWER)]
    usage = response["usage"]
    assert usage["output_tokens"] == 7
    assert usage["total_tokens"] == usage["input_tokens"] + 7


def test_it_streams_named_events_in_order(sdk: Client, interference: Service) -> None:
    events = sdk.does("events", **at(interference), request=HI)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(event["delta"] for event in deltas) == ANSWER
    assert [kind for kind in kinds if kind != "response.output_text.delta"] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert events[-1]["response"]["usage"]["output_tokens"] == 7


def test_it_streams_a_tool_call_in_pieces(sdk: Client, interference: Service) -> None:
    events = sdk.does("events", **at(interference), request=LOOKUP)
    pieces = [e["delta"] for e in events if e["type"] == "response.function_call_arguments.delta"]
    assert json.loads("".join(pieces)) == {"unit": "c", "exact": True}
    (call,) = events[-1]["response"]["output"]
    assert (call["type"], call["name"]) == ("function_call", "get_weather")
    assert call["arguments"] == "".join(pieces)
    assert call["call_id"]


@pytest.mark.parametrize(
    "request_body", [pytest.param(HI, id="text"), pytest.param(LOOKUP, id="tool call")]
)
def test_it_puts_a_stream_together_as_the_whole(
    sdk: Client, interference: Service, request_body: dict[str, Any]
) -> None:
    whole = sdk.does("whole", **at(interference), request=request_body)
    together = sdk.does("together", **at(interference), request=request_body)
    assert said(together) == said(whole)
    # How many of the tokens come from the model server's cache differs.
    counts = ("input_tokens", "output_tokens", "total_tokens")
    assert [together["usage"][count] for count in counts] == [whole["usage"][count] for count in counts]
    assert together["status"] == whole["status"] == "completed"


@pytest.mark.parametrize("task", ["whole", "together"])
def test_it_sees_the_reasoning_before_the_text(sdk: Client, interference: Service, task: str) -> None:
    request = {**HI, "model": "thinks", "reasoning": {"effort": "low"}}
    reasoning, message = sdk.does(task, **at(interference), request=request)["output"]
    assert reasoning["type"] == "reasoning"
    assert "".join(part["text"] for part in reasoning["content"]) == "".join(THOUGHTS)
    assert "".join(part["text"] for part in message["content"]) == "".join(WORDS)


def test_it_is_told_when_the_answer_was_too_long(sdk: Client, interference: Service) -> None:
    response = sdk.does("whole", **at(interference), request={**HI, "max_output_tokens": 2})
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}


def test_it_is_told_when_a_streamed_answer_was_too_long(sdk: Client, interference: Service) -> None:
    *_, last = sdk.does("events", **at(interference), request={**HI, "max_output_tokens": 2})
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


@pytest.mark.parametrize("task", ["whole", "events"])
@pytest.mark.parametrize(
    ("more", "param"),
    [
        pytest.param({"previous_response_id": "resp_1"}, "previous_response_id", id="previous_response_id"),
        pytest.param({"background": True}, "background", id="background"),
        pytest.param({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type", id="hosted tool"),
        pytest.param({"input": [{"role": "user", "content": 3}]}, "input[0].content", id="wrong type"),
    ],
)
def test_it_is_told_which_field_cannot_be_served(
    sdk: Client, interference: Service, more: dict[str, Any], param: str, task: str
) -> None:
    error = sdk.raises(task, **at(interference), request=HI | more)
    assert (error.name, error.status) == ("BadRequestError", 400)
    assert (error.body["type"], error.body["param"]) == ("invalid_request_error", param)
    assert param in error.message


@pytest.mark.parametrize("model", ["cut-later", "error-later"])
@pytest.mark.parametrize("task", ["events", "together"])
def test_it_raises_where_a_stream_breaks_after_its_first_words(
    sdk: Client, interference: Service, model: str, task: str
) -> None:
    error = sdk.raises(task, **at(interference), request={**HI, "model": model})
    assert error.name == "APIError"


def said(response: dict[str, Any]) -> list[Any]:
    """The output without what differs from call to call."""
    ids = {"id", "call_id"}
    items = [{k: v for k, v in item.items() if k not in ids} for item in response["output"]]
    return [without_parsed(item) for item in items]


def without_parsed(item: dict[str, Any]) -> dict[str, Any]:
    """An item without what the SDKs' helpers add to it."""
    added = ("parsed", "parsed_arguments")
    kept = {k: v for k, v in item.items() if k not in added}
    if isinstance(kept.get("content"), list):
        kept["content"] = [without_parsed(part) for part in kept["content"]]
    return kept
