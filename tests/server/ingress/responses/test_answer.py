"""Answers in the Responses API's shape, whole and as events."""

import json
from typing import Any

import pytest
from openai.types.responses import Response

from interference.v1.completion_pb2 import (
    Annotation,
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    UrlCitation,
)
from interference.v1.error_pb2 import Attempt, Error, ErrorResponse
from interference.v1.tool_pb2 import CustomToolCall, FunctionCall, ToolCall
from server.ingress import additions
from server.ingress.base import Answer
from server.ingress.responses import output
from server.ingress.responses import request as responses
from tests.server.ingress.responses.reader import USAGE, accumulated, chunk, parsed, streamed


def answer(**members: Any) -> Answer:
    return responses.read(json.dumps({"model": "m", "input": "Hi"} | members).encode()).answer


def deltas(*messages: AnswerMessage, finish_reason: str = "stop") -> list[ChatCompletionChunk]:
    return [*map(chunk, messages), chunk(AnswerMessage(), finish_reason=finish_reason)]


# --- Whole -----------------------------------------------------------------------------------------


def whole(message: AnswerMessage, writer: Answer | None = None, **fields: Any) -> Any:
    completion = ChatCompletion(
        created=7,
        model="m-1",
        provider="Up",
        choices=[Choice(index=0, message=message, **{"finish_reason": "stop"} | fields)],
        usage=USAGE,
        service_tier="flex",
    )
    return json.loads((writer or answer()).whole(completion))


def test_a_whole_answer_is_a_response_that_the_sdk_takes() -> None:
    message = AnswerMessage(
        reasoning="Hm",
        content="Hello",
        annotations=[
            Annotation(type="url_citation", url_citation=UrlCitation(end_index=5, url="https://a"))
        ],
        refusal="No",
        tool_calls=[
            ToolCall(id="c1", function=FunctionCall(name="f", arguments="{}")),
            ToolCall(type="custom", custom=CustomToolCall(name="g", input="x")),
        ],
    )
    told = whole(message, answer(instructions="Be", temperature=0.5, metadata={"a": "b"}))
    response = Response.model_validate(told, strict=True)
    assert (response.status, response.model, response.output_text) == ("completed", "m-1", "Hello")
    assert response.usage is not None
    assert response.usage.input_tokens_details.cached_tokens == 4
    assert response.usage.output_tokens_details.reasoning_tokens == 3
    assert (response.instructions, response.temperature, response.metadata) == ("Be", 0.5, {"a": "b"})
    assert (told["provider"], told["store"], told["service_tier"]) == ("Up", False, "flex")
    ids = [item.pop("id") for item in told["output"]]
    assert len(set(ids)) == len(ids)
    assert told["output"][3].pop("call_id").startswith("call_")
    citation = {"start_index": 0, "end_index": 5, "title": "", "url": "https://a"}
    assert told["output"] == [
        {
            "type": "reasoning",
            "status": "completed",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Hm"}],
        },
        {
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [
                {
                    "type": "output_text",
                    "text": "Hello",
                    "annotations": [{"type": "url_citation", **citation}],
                    "logprobs": [],
                },
                {"type": "refusal", "refusal": "No"},
            ],
        },
        {"type": "function_call", "status": "completed", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "status": "completed", "name": "g", "input": "x"},
    ]


@pytest.mark.parametrize(
    ("finish_reason", "status", "details"),
    [
        pytest.param("stop", "completed", None, id="stop"),
        pytest.param("tool_calls", "completed", None, id="tool-calls"),
        pytest.param("eos", "completed", None, id="own-word"),
        pytest.param("length", "incomplete", {"reason": "max_output_tokens"}, id="length"),
        pytest.param("content_filter", "incomplete", {"reason": "content_filter"}, id="filter"),
    ],
)
def test_a_finish_reason_is_a_status(finish_reason: str, status: str, details: Any) -> None:
    told = whole(AnswerMessage(content="He"), finish_reason=finish_reason)
    assert (told["status"], told["incomplete_details"]) == (status, details)
    assert told["output"][-1]["status"] == status
    last = streamed(answer(), deltas(AnswerMessage(content="He"), finish_reason=finish_reason))[-1]
    assert last["type"] == f"response.{status}"
    assert (last["response"]["status"], last["response"]["incomplete_details"]) == (status, details)


def test_reasoning_is_told_as_a_summary_to_who_asks_for_one() -> None:
    writer = answer(reasoning={"summary": "auto"})
    events = streamed(writer, deltas(AnswerMessage(reasoning="Hm"), AnswerMessage(content="So")))
    assert [event["type"] for event in events if "reasoning" in event["type"]] == [
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
    ]
    item = events[-1]["response"]["output"][0]
    assert item["summary"] == [{"type": "summary_text", "text": "Hm"}]
    assert "content" not in item


def test_what_the_request_said_is_repeated() -> None:
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": None}]
    told = whole(
        AnswerMessage(content="a"),
        answer(tools=tools, tool_choice="required", text={"verbosity": "low"}, max_output_tokens=5),
    )
    assert (told["tools"], told["tool_choice"], told["max_output_tokens"]) == (tools, "required", 5)
    assert told["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert (told["parallel_tool_calls"], told["truncation"]) == (True, "disabled")


# --- Streams ---------------------------------------------------------------------------------------


def test_the_events_of_a_text_come_in_openais_order() -> None:
    chunks = deltas(AnswerMessage(role="assistant", content=""), AnswerMessage(content="He"))
    chunks += [chunk(AnswerMessage(content="llo"))]
    assert [event["type"] for event in streamed(answer(), chunks)] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


@pytest.mark.parametrize("chunks", [[], deltas(), [chunk()]], ids=["no-chunk", "no-text", "no-choice"])
def test_an_empty_answer_is_a_message_without_text(chunks: list[ChatCompletionChunk]) -> None:
    output = accumulated(streamed(answer(), chunks))["output"]
    assert [item["type"] for item in output] == ["message"]
    assert [part["text"] for part in output[0]["content"]] == [""]


def test_events_keep_to_one_line_whatever_the_request_looked_like() -> None:
    body = b'{"model": "m", "input": "Hi",\r\n "tools": [\n {"type": "function",\n "name": "f"}\n]}'
    assert parsed(responses.read(body).answer.end())[0]["response"]["tools"][0]["name"] == "f"


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        pytest.param(
            [(0, "a", "f", "1"), (1, "b", "g", "2"), (0, "", "", "3"), (1, "", "", "4")],
            [("a", "f", "13"), ("b", "g", "24")],
            id="in-turns",
        ),
        pytest.param([(0, "a", "", "1"), (0, "", "f", "2")], [("a", "f", "12")], id="name-later"),
        pytest.param([(0, "a", "", "1")], [("a", "", "1")], id="no-name"),
        pytest.param([(0, "a", "f", "1"), (0, "a", "f", "2")], [("a", "f", "12")], id="repeated-name"),
        pytest.param(
            [(0, "a", "f", "1"), (0, "b", "f", "2")], [("a", "f", "1"), ("b", "f", "2")], id="all-0"
        ),
        pytest.param(
            [(None, "a", "f", "1"), (None, "", "", "2"), (None, "b", "g", "3")],
            [("a", "f", "12"), ("b", "g", "3")],
            id="no-index",
        ),
        pytest.param(
            [(None, "", "f", "1"), (None, "", "f", "2")],
            [("", "f", "1"), ("", "f", "2")],
            id="no-index-no-id",
        ),
        pytest.param(
            [(0, "a", "f", "1"), (1, "a", "f", "2")], [("a", "f", "1"), ("", "f", "2")], id="same-id"
        ),
    ],
)
def test_the_pieces_of_tool_calls_come_together(pieces: Any, calls: Any) -> None:
    """An id that is empty here stands for one that is made up."""
    chunks = [
        chunk(
            AnswerMessage(
                tool_calls=[
                    ToolCall(
                        index=index,
                        id=call_id or None,
                        function=FunctionCall(name=name or None, arguments=text),
                    )
                ]
            )
        )
        for index, call_id, name, text in pieces
    ]
    output = accumulated(streamed(answer(), chunks))["output"]
    assert [
        (item["call_id"] if item["call_id"] in ("a", "b") else "", item["name"], item["arguments"])
        for item in output
    ] == calls
    assert len({item["call_id"] for item in output}) == len(output)


def test_open_items_end_in_the_order_in_which_they_began() -> None:
    calls = [ToolCall(index=i, id=name, function=FunctionCall(name="f")) for i, name in enumerate("abc")]
    events = streamed(answer(), deltas(AnswerMessage(tool_calls=calls), AnswerMessage(content="x")))
    ends = [event["output_index"] for event in events if event["type"] == "response.output_item.done"]
    assert ends == [0, 1, 2, 3]


def test_text_after_a_call_is_another_message() -> None:
    call = ToolCall(index=0, id="a", function=FunctionCall(name="f", arguments="{"))
    rest = ToolCall(index=0, function=FunctionCall(arguments="}"))
    chunks = deltas(
        AnswerMessage(content="x"),
        AnswerMessage(tool_calls=[call]),
        AnswerMessage(content="y", tool_calls=[rest]),
    )
    output = accumulated(streamed(answer(), chunks))["output"]
    assert [item.get("arguments") or item["content"][0]["text"] for item in output] == ["x", "{}", "y"]


def test_what_a_provider_adds_comes_through() -> None:
    call = ToolCall(index=0, id="a", function=FunctionCall(name="f", arguments="{}"))
    call.extra.update({"extra_content": {"google": {"thought_signature": "s"}}})
    first, last = AnswerMessage(tool_calls=[call]), AnswerMessage()
    first.extra.update({"details": ["a"]})
    last.extra.update({"details": ["b"]})
    chunks = deltas(first, last)
    chunks[0].extra.update({"obfuscation": "xyz", "cost": 1})
    done = streamed(answer(), chunks)[-1]["response"]
    assert done["extra"] == {"cost": 1, "details": ["a", "b"]}
    assert done["output"][0]["extra"] == {"extra_content": {"google": {"thought_signature": "s"}}}


def test_the_deprecated_call_is_a_call() -> None:
    called = FunctionCall(name="f", arguments='{"a":1}')
    told = whole(AnswerMessage(function_call=called), finish_reason="function_call")
    pieces = [FunctionCall(name="f", arguments='{"a"'), FunctionCall(arguments=":1}")]
    chunks = deltas(
        *(AnswerMessage(function_call=piece) for piece in pieces), finish_reason="function_call"
    )
    for (item,) in (told["output"], accumulated(streamed(answer(), chunks))["output"]):
        assert (item["type"], item["name"], item["arguments"]) == ("function_call", "f", '{"a":1}')
        assert item["call_id"]


def test_an_addition_in_the_name_of_a_calls_field_is_not_mixed_up_with_it() -> None:
    function = FunctionCall(name="f", arguments="{}")
    function.extra.update({"thought": 1, "name": {}})
    call = ToolCall(index=0, id="a", function=function)
    call.extra.update({"function": "x", "id": 7, "new": [1]})
    odd = ToolCall(index=0)
    odd.extra.update({"function": "f"})
    told = whole(AnswerMessage(tool_calls=[call]))["output"]
    chunks = deltas(AnswerMessage(tool_calls=[odd]), AnswerMessage(tool_calls=[call]))
    for (item,) in (told, streamed(answer(), chunks)[-1]["response"]["output"]):
        assert item["extra"] == {"function": {"thought": 1}, "new": [1]}
        given_back = json.dumps({"model": "m", "input": [item]}).encode()
        (message,) = responses.read(given_back).request.messages
        assert json.loads(message.tool_calls[0].extra_json) == {"new": [1]}


def test_notes_do_not_replace_what_the_api_says_of_a_page() -> None:
    note = Annotation(type="url_citation", url_citation=UrlCitation(url="https://a"))
    note.extra.update({"type": 5, "url": {}, "new": 1})
    page = whole(AnswerMessage(content="x", annotations=[note]))["output"][0]["content"][0]["annotations"][
        0
    ]
    assert (page["type"], page["url"], page["new"]) == ("url_citation", "https://a", 1)


def test_gathering_what_comes_in_pieces_takes_time_in_proportion() -> None:
    """Held lists are added to, not copied: a list that is held stays the same object."""
    extra: dict[str, Any] = {}
    message = AnswerMessage()
    message.extra.update({"list": ["a"]})
    additions.gather(extra, message)
    held = extra["list"]
    additions.gather(extra, message)
    output.gather_note(extra, Annotation(type="file"))
    notes = extra["annotations"]
    output.gather_note(extra, Annotation(type="file"))
    assert extra["list"] is held == ["a", "a"]
    assert extra["annotations"] is notes == [{"type": "file"}, {"type": "file"}]


def test_other_choices_than_the_first_are_none_of_this_api() -> None:
    both = chunk(AnswerMessage(content="a"))
    both.choices.append(ChunkChoice(index=1, delta=AnswerMessage(content="b")))
    assert streamed(answer(), [both])[-1]["response"]["output"][0]["content"][0]["text"] == "a"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("rate_limit_error", "rate_limit_exceeded"),
        ("api_error", "server_error"),
        ("timeout_error", "server_error"),
    ],
)
def test_a_failure_is_an_error_and_then_a_failed_response(kind: str, code: str) -> None:
    failure = ErrorResponse(
        error=Error(message="All failed.", type=kind, code="all_providers_failed"),
        provider="Up",
        attempts=[Attempt(provider="Up", model="m", cause="connection_lost", message="cut")],
    )
    writer = answer()
    body = writer.chunk(chunk(AnswerMessage(content="Hel"))) + writer.failed(failure)
    error, failed = parsed(body)[-2:]
    assert (error["type"], error["code"], error["message"]) == (
        "error",
        "all_providers_failed",
        "All failed.",
    )
    assert error["error"] == {
        "type": kind,
        "code": "all_providers_failed",
        "message": "All failed.",
        "param": None,
    }
    assert error["attempts"][0]["cause"] == "connection_lost"
    response = Response.model_validate(failed["response"], strict=True)
    assert response.status == "failed"
    assert response.error is not None
    assert (response.error.code, response.error.message) == (code, "All failed.")
    assert (response.output_text, failed["response"]["output"][0]["status"]) == ("Hel", "incomplete")


def test_a_failure_before_any_chunk_still_makes_a_sequence() -> None:
    events = parsed(answer().failed(ErrorResponse(error=Error(message="No.", type="api_error"))))
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "error",
        "response.failed",
    ]
