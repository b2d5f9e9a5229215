"""Answers in the Responses API's shape: whole, and as events that any reader puts together to the same."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._models import construct_type_unchecked
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent

from interference.v1.completion_pb2 import (
    Annotation,
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    Logprobs,
    TokenLogprob,
    TopLogprob,
    UrlCitation,
)
from interference.v1.error_pb2 import Attempt, Error, ErrorResponse
from interference.v1.tool_pb2 import CustomToolCall, FunctionCall, ToolCall
from interference.v1.usage_pb2 import CompletionTokensDetails, PromptTokensDetails, Usage
from server.ingress import responses
from server.ingress.base import Answer
from server.ingress.responses_events import ResponsesAnswer
from server.ingress.responses_output import Told
from server.sse import EventReader

Json = dict[str, Any]
EXAMPLES = settings(deadline=None)  # the SDK's types take their time at their first use
USAGE = Usage(
    prompt_tokens=9,
    completion_tokens=5,
    total_tokens=14,
    prompt_tokens_details=PromptTokensDetails(cached_tokens=4),
    completion_tokens_details=CompletionTokensDetails(reasoning_tokens=3),
)


def answer(**members: Any) -> Answer:
    return responses.read(json.dumps({"model": "m", "input": "Hi"} | members).encode()).answer


def chunk(delta: AnswerMessage | None = None, **fields: Any) -> ChatCompletionChunk:
    choices = [ChunkChoice(index=0, delta=delta, **fields)] if delta is not None else []
    return ChatCompletionChunk(id="x", created=7, model="m-1", provider="Up", choices=choices)


def streamed(writer: Answer, chunks: Sequence[ChatCompletionChunk]) -> list[Json]:
    """The events of a stream that ends well. The name of each is its type, as SDKs expect."""
    return parsed(b"".join([*map(writer.chunk, chunks), writer.end()]))


def parsed(body: bytes) -> list[Json]:
    names = [
        line.removeprefix(b"event: ").decode() for line in body.split(b"\n") if line.startswith(b"event")
    ]
    events = [json.loads(data) for data in EventReader(2**24).feed(body)]
    assert [event["type"] for event in events] == names
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


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


# --- Any answer in any pieces ----------------------------------------------------------------------

TEXT = st.text(min_size=1, max_size=8)


@dataclass(frozen=True)
class Said:
    """An answer, and the deltas that a provider cut it into."""

    message: AnswerMessage
    logprobs: Logprobs | None
    finish_reason: str
    chunks: list[ChatCompletionChunk]


@st.composite
def answers(draw: st.DrawFn) -> Said:
    reasoning, content, refusal = (draw(st.lists(TEXT, max_size=3)) for _ in range(3))
    notes = draw(st.lists(annotations(), max_size=2)) if content else []
    calls = draw(
        st.lists(st.tuples(st.booleans(), st.sampled_from(["", "a", "b"]), st.lists(TEXT)), max_size=3)
    )
    with_logprobs = draw(st.booleans())
    tokens = [token(text) for text in content] if with_logprobs else []
    chunks = [chunk(AnswerMessage(role="assistant", content=""))] if draw(st.booleans()) else []
    chunks += [chunk(AnswerMessage(reasoning=text)) for text in reasoning]
    chunks += [
        chunk(
            AnswerMessage(content=text), logprobs=Logprobs(content=[token(text)]) if with_logprobs else None
        )
        for text in content
    ]
    chunks += [chunk(AnswerMessage(annotations=[note])) for note in notes]
    chunks += [chunk(AnswerMessage(refusal=text)) for text in refusal]
    chunks += [chunk(AnswerMessage(tool_calls=[piece])) for piece in draw(interleaved(calls))]
    finish_reason = draw(st.sampled_from(["stop", "length", "tool_calls"]))
    chunks.append(chunk(AnswerMessage(), finish_reason=finish_reason))
    chunks.append(chunk())
    chunks[-1].usage.CopyFrom(USAGE)
    message = AnswerMessage(
        reasoning="".join(reasoning) or None,
        content="".join(content),
        refusal="".join(refusal) or None,
        annotations=notes,
        tool_calls=[
            tool_call(is_custom, call_id, "f", "".join(texts)) for is_custom, call_id, texts in calls
        ],
    )
    return Said(message, Logprobs(content=tokens) if tokens else None, finish_reason, chunks)


@st.composite
def annotations(draw: st.DrawFn) -> Annotation:
    note = Annotation(type=draw(st.sampled_from(["url_citation", "file"])))
    if note.type == "url_citation":
        note.url_citation.CopyFrom(
            UrlCitation(start_index=1, end_index=2, title=draw(TEXT), url="https://a")
        )
    else:
        note.extra.update({"file": {"name": draw(TEXT)}})
    return note


@st.composite
def interleaved(draw: st.DrawFn, calls: list[tuple[bool, str, list[str]]]) -> list[ToolCall]:
    """The pieces of calls in turns: each call's in order, and none begun before one with a lower index."""
    left = [
        [tool_call(custom, call_id, "f", ""), *(tool_call(custom, "", "", t) for t in texts)]
        for custom, call_id, texts in calls
    ]
    begun, pieces = 0, []
    while any(left):
        ready = [index for index, rest in enumerate(left) if rest and index <= begun]
        index = draw(st.sampled_from(ready))
        begun = max(begun, index + 1)
        piece = left[index].pop(0)
        piece.index = index
        pieces.append(piece)
    return pieces


def tool_call(is_custom: bool, call_id: str, name: str, text: str) -> ToolCall:
    if is_custom:
        return ToolCall(
            id=call_id or None, type="custom", custom=CustomToolCall(name=name or None, input=text)
        )
    return ToolCall(id=call_id or None, function=FunctionCall(name=name or None, arguments=text))


def token(text: str) -> TokenLogprob:
    data = list(text.encode())
    return TokenLogprob(
        token=text,
        bytes=data,
        logprob=-0.5,
        top_logprobs=[TopLogprob(token=text, bytes=data, logprob=-0.5)],
    )


def twins() -> tuple[ResponsesAnswer, ResponsesAnswer]:
    """Two writers of one answer."""
    told = Told("t", "m", summed_up=False, echo={"tools": [], "tool_choice": "auto"})
    return ResponsesAnswer(told), ResponsesAnswer(told)


def expected(said: Said, writer: Answer) -> Json:
    choice = Choice(index=0, message=said.message, finish_reason=said.finish_reason, logprobs=said.logprobs)
    completion = ChatCompletion(created=7, model="m-1", provider="Up", choices=[choice], usage=USAGE)
    told: Json = json.loads(writer.whole(completion))
    return told


def accumulated(events: list[Json]) -> Json:
    """Puts an answer together from its deltas alone; gives what it is said to be in the end, the same."""
    items: dict[int, Json] = {}
    final: Json = {}
    for event in events:
        _take(items, event)
        if event["type"] in ("response.completed", "response.incomplete"):
            final = event["response"]
    whole_items = [items[index] for index in range(len(items))]
    for built, told in zip(whole_items, final["output"], strict=True):
        assert {"status": None} | built == told
    return final


def _take(items: dict[int, Json], event: Json) -> None:
    kind = event["type"]
    item = items.get(event.get("output_index", -1), {})
    part = _part(item, event)
    if kind.endswith("output_item.added"):
        items[event["output_index"]] = event["item"]
    elif kind.endswith("output_item.done"):
        item["status"] = event["item"]["status"]
        assert item == event["item"]
    elif kind.endswith("_part.added"):
        item["content"].append(event["part"])
    elif kind.endswith("_part.done"):
        assert part == event["part"]
    elif kind.endswith("annotation.added"):
        assert len(part["annotations"]) == event["annotation_index"]
        part["annotations"].append(event["annotation"])
    elif kind.endswith(".delta"):
        _extend(item, part, event)
    elif kind.endswith(".done"):
        holder, name = _holder(item, part, event)
        assert holder[name] == event[name]


def _part(item: Json, event: Json) -> Json:
    if "content_index" not in event or event["type"].endswith("part.added"):
        return {}
    part: Json = item["content"][event["content_index"]]
    return part


def _extend(item: Json, part: Json, event: Json) -> None:
    holder, name = _holder(item, part, event)
    holder[name] += event["delta"]
    if event.get("logprobs"):
        part["logprobs"] += event["logprobs"]


def _holder(item: Json, part: Json, event: Json) -> tuple[Json, str]:
    assert item["id"] == event["item_id"]
    if "arguments" in event["type"]:
        return item, "arguments"
    if "input" in event["type"]:
        return item, "input"
    return part, "refusal" if "refusal" in event["type"] else "text"


def without_time(response: Json) -> Json:
    return {name: value for name, value in response.items() if name != "completed_at"}


@EXAMPLES
@given(answers())
def test_the_events_of_any_answer_come_together_to_the_whole_one(said: Said) -> None:
    one, other = twins()
    assert without_time(accumulated(streamed(one, said.chunks))) == without_time(expected(said, other))


@EXAMPLES
@given(answers())
def test_openais_own_accumulator_comes_to_the_whole_answer(said: Said) -> None:
    one, other = twins()
    state = ResponseStreamState[None](input_tools=omit, text_format=omit)
    event_type: Any = ResponseStreamEvent
    given_out: list[Any] = []
    for event in streamed(one, said.chunks):
        given_out += state.handle_event(construct_type_unchecked(value=event, type_=event_type))
    final = given_out[-1]
    told = without_time(final.response.to_dict())
    wanted = without_time(expected(said, other))
    assert _unparsed(told) == wanted


def _unparsed(value: Any) -> Any:
    """Without the members that the SDK adds."""
    if isinstance(value, dict):
        return {k: _unparsed(v) for k, v in value.items() if k not in ("parsed", "parsed_arguments")}
    return [_unparsed(item) for item in value] if isinstance(value, list) else value


@EXAMPLES
@given(st.data())
def test_pieces_in_any_order_lose_nothing(data: st.DataObject) -> None:
    said = data.draw(answers())
    chunks = data.draw(st.permutations(said.chunks))
    output = accumulated(streamed(twins()[0], chunks))["output"]
    pieces = "".join(_texts(chunk.choices[0].delta) for chunk in chunks if chunk.choices)
    assert sorted("".join(map(_item_text, output))) == sorted(pieces)


def _texts(delta: AnswerMessage) -> str:
    calls = "".join(call.function.arguments + call.custom.input for call in delta.tool_calls)
    return delta.reasoning + delta.content + delta.refusal + calls


def _item_text(item: Json) -> str:
    parts: Iterator[Json] = iter(item.get("content", []))
    inside = "".join(part.get("text", "") + part.get("refusal", "") for part in parts)
    return inside + str(item.get("arguments", "")) + str(item.get("input", ""))
