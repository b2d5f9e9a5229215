"""A streamed answer in Anthropic's events: their order, and that they add up to the whole answer."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interference.v1.completion_pb2 import (
    Annotation,
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    UrlCitation,
)
from interference.v1.error_pb2 import Error, ErrorResponse
from interference.v1.tool_pb2 import FunctionCall, ToolCall
from interference.v1.usage_pb2 import Usage
from server.ingress.messages.events import MessagesAnswer, error_type
from tests.server.ingress.messages import reader as messages_reader

Json = dict[str, Any]
_USAGE = Usage(prompt_tokens=9, completion_tokens=4)


def delta(finish: str | None = None, **members: Any) -> ChatCompletionChunk:
    """A chunk with one delta."""
    return ChatCompletionChunk(
        id="chatcmpl-1",
        model="m",
        provider="P",
        choices=[ChunkChoice(index=0, delta=AnswerMessage(**members), finish_reason=finish)],
    )


def call(index: int, arguments: str | None = None, **members: Any) -> Json:
    """A piece of a tool call."""
    name = members.pop("name", None)
    return {"tool_calls": [{"index": index, "function": {"name": name, "arguments": arguments}, **members}]}


def told(*chunks: ChatCompletionChunk, stops: tuple[str, ...] = (), shows: bool = True) -> bytes:
    """A stream from its chunks."""
    answer = MessagesAnswer("asked", stops, shows_thoughts=shows)
    return b"".join((*(answer.chunk(chunk) for chunk in chunks), answer.end()))


def test_a_text_has_the_events_of_the_documentation() -> None:
    usage = ChatCompletionChunk(id="chatcmpl-1", usage=_USAGE)
    stream = told(delta(role="assistant", content=""), delta(content="Hi"), delta("stop"), usage)
    assert messages_reader.events(stream) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "stop_details": None,
                "usage": {
                    "input_tokens": 0,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 0,
                },
                "provider": "P",
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None},
            "usage": {
                "input_tokens": 9,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 4,
            },
        },
        {"type": "message_stop"},
    ]


def test_text_is_told_as_soon_as_it_comes() -> None:
    answer = MessagesAnswer("asked")
    assert b'"text":"Hi"' in answer.chunk(delta(content="Hi"))
    assert messages_reader.events(answer.chunk(delta(content=" there"))) == [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " there"}}
    ]


def test_an_empty_answer_is_a_valid_stream() -> None:
    message = messages_reader.message(told())
    assert message["content"] == []
    assert message["model"] == "asked"
    assert message["stop_reason"] == "end_turn"


def test_calls_one_after_another_are_told_as_they_come() -> None:
    answer = MessagesAnswer("asked")
    assert b'"name":"f"' in answer.chunk(delta(**call(0, "", id="a", name="f")))
    assert b'"partial_json":"{}"' in answer.chunk(delta(**call(0, "{}")))
    second = messages_reader.events(answer.chunk(delta(**call(1, "", id="b", name="g"))))
    assert [event["type"] for event in second] == ["content_block_stop", "content_block_start"]
    third = messages_reader.events(answer.chunk(delta(**call(1, '{"x":'))))
    assert [event["type"] for event in third] == ["content_block_delta"]


def test_calls_that_take_turns_are_told_one_after_another() -> None:
    stream = told(
        delta(**call(0, '{"a"', id="a", name="f")),
        delta(**call(1, '{"b"', id="b", name="g")),
        delta(**call(0, ":1}")),
        delta(**call(1, ":2}")),
        delta("tool_calls"),
    )
    message = messages_reader.message(stream)
    assert [(block["id"], block["input"]) for block in message["content"]] == [
        ("a", {"a": 1}),
        ("b", {"b": 2}),
    ]
    assert message["stop_reason"] == "tool_use"


def test_a_call_under_the_same_index_is_another_call_where_its_id_is_another() -> None:
    stream = told(delta(**call(0, "{}", id="a", name="f")), delta(**call(0, '{"x":1}', id="b", name="f")))
    blocks = messages_reader.message(stream)["content"]
    assert [(block["id"], block["input"]) for block in blocks] == [("a", {}), ("b", {"x": 1})]


def test_a_name_that_comes_late_is_waited_for() -> None:
    stream = told(delta(**call(0, '{"x":', id="a")), delta(**call(0, "1}", name="f")))
    (block,) = messages_reader.message(stream)["content"]
    assert (block["name"], block["input"]) == ("f", {"x": 1})


def test_the_deprecated_call_is_a_call() -> None:
    chunk = delta("function_call", function_call=FunctionCall(name="f", arguments='{"x":1}'))
    message = messages_reader.message(told(chunk))
    assert message["content"][0]["input"] == {"x": 1}
    assert message["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param("", {}, id="none"),
        pytest.param(" \n", {}, id="blank"),
        pytest.param("[1]", {"INVALID_JSON": "[1]"}, id="a-list"),
        pytest.param('say "hi"', {"INVALID_JSON": 'say "hi"'}, id="no-json"),
        pytest.param('{"a": ', {"INVALID_JSON": '{"a": '}, id="cut-off"),
    ],
)
def test_arguments_that_are_no_object_are_not_lost(arguments: str, expected: Json) -> None:
    pieces = [
        delta(**call(0, piece, id="a" * (not index), name="f")) for index, piece in enumerate(arguments)
    ]
    stream = told(delta(**call(0, id="a", name="f")), *pieces)
    assert messages_reader.message(stream)["content"][0]["input"] == expected


def test_thoughts_are_a_block_and_hidden_where_the_request_says_so() -> None:
    chunks = (delta(reasoning="Hm"), delta(reasoning="..."), delta("stop", content="Hi"))
    shown = messages_reader.message(told(*chunks))["content"]
    assert shown == [
        {"type": "thinking", "thinking": "Hm...", "signature": ""},
        {"type": "text", "text": "Hi"},
    ]
    assert messages_reader.message(told(*chunks, shows=False))["content"] == shown[1:]


def test_a_page_is_cited_by_the_text_so_far_and_the_text_goes_on() -> None:
    note = Annotation(type="url_citation", url_citation=UrlCitation(start_index=1, end_index=4, url="u"))
    late = Annotation(type="url_citation", url_citation=UrlCitation(start_index=9, end_index=4, url="u"))
    chunks = (delta(content="a\r\nb"), delta(annotations=[note]), delta(content="cd", annotations=[late]))
    (block,) = messages_reader.message(told(*chunks))["content"]
    assert block["text"] == "a\r\nbcd"
    assert [citation["cited_text"] for citation in block["citations"]] == ["\r\nb", ""]


def test_a_citation_does_not_copy_the_whole_text_each_time() -> None:
    note = Annotation(type="url_citation", url_citation=UrlCitation(end_index=4, url="u"))
    writer, cited = MessagesAnswer("asked"), delta(content="x", annotations=[note])
    writer.chunk(delta(content="x" * 1_000_000, annotations=[note]))
    peaks = []
    tracemalloc.start()
    for _ in range(5):  # the text may be moved to a larger place now and then
        tracemalloc.reset_peak()
        before, _peak = tracemalloc.get_traced_memory()
        writer.chunk(cited)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    assert min(peaks) < 100_000


def test_choices_that_were_not_asked_for_are_not_mixed_in() -> None:
    other = ChatCompletionChunk(choices=[ChunkChoice(index=1, delta=AnswerMessage(content="other"))])
    assert messages_reader.message(told(delta(content="Hi"), other))["content"] == [
        {"type": "text", "text": "Hi"}
    ]


def test_a_stop_sequence_is_told_where_the_provider_tells_it() -> None:
    chunk = delta("stop", content="a")
    chunk.choices[0].extra.update({"stop_reason": "END"})
    message = messages_reader.message(told(chunk, stops=("END",)))
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "END")


def test_a_failure_is_an_error_event() -> None:
    answer = MessagesAnswer("asked")
    answer.chunk(delta(content="Hi"))
    failure = ErrorResponse(error=Error(message="It broke.", type="rate_limit_error"))
    assert messages_reader.events(answer.failed(failure)) == [
        {"type": "error", "error": {"type": "rate_limit_error", "message": "It broke."}}
    ]


def test_an_error_type_that_anthropic_lacks_is_its_general_one() -> None:
    assert error_type("server_error") == "api_error"
    assert error_type("timeout_error") == "timeout_error"


# --- The events add up to the whole answer ---------------------------------------------------------

_TEXTS = st.text(max_size=12)
_OBJECTS = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=6), max_size=3)
_SPACE = st.sampled_from(["", " ", "\n\t"])
_ARGUMENTS = st.one_of(
    st.builds(lambda left, value, right: f"{left}{json.dumps(value)}{right}", _SPACE, _OBJECTS, _SPACE),
    st.sampled_from(["", " ", "[1]", "nope", '"text"', '{"a": ', "{"]),
)
_NAMES = st.sampled_from(["f", "look_up"])
_FINISH = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "eos"])
_CITATIONS = st.lists(
    st.integers(0, 9).map(
        lambda start: Annotation(
            type="url_citation",
            url_citation=UrlCitation(start_index=start, end_index=9, url="https://a.example"),
        )
    ),
    max_size=2,
)


@st.composite
def _answers(draw: st.DrawFn) -> AnswerMessage:
    calls = draw(st.lists(st.tuples(_NAMES, _ARGUMENTS), max_size=4))
    return AnswerMessage(
        reasoning=draw(_TEXTS),
        content=draw(_TEXTS),
        refusal=draw(st.just("") | _TEXTS),
        annotations=draw(_CITATIONS),
        tool_calls=[
            ToolCall(id=f"call{index}", function=FunctionCall(name=name, arguments=arguments))
            for index, (name, arguments) in enumerate(calls)
        ],
    )


def _cut(draw: st.DrawFn, text: str) -> list[str]:
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def _call_pieces(draw: st.DrawFn, index: int, whole: ToolCall) -> list[Json]:
    first, *rest = _cut(draw, whole.function.arguments)
    head = call(index, first, id=whole.id, name=whole.function.name)
    return [head, *(call(index, piece) for piece in rest)]


def _merged(draw: st.DrawFn, queues: list[list[Json]]) -> list[Json]:
    """The pieces of all queues, each in its order; a queue begins after the one before it."""
    merged: list[Json] = []
    waiting = [list(queue) for queue in queues]
    begun = 0
    while any(waiting):
        ready = [i for i, queue in enumerate(waiting) if queue and i <= begun]
        chosen = draw(st.sampled_from(ready)) if ready else begun + 1
        merged.append(waiting[chosen].pop(0))
        begun = max(begun, chosen + 1)
    return merged


@st.composite
def _streams(draw: st.DrawFn, *, in_turns: bool) -> tuple[AnswerMessage, list[ChatCompletionChunk]]:
    answer = draw(_answers())
    thoughts: list[Json] = [{"reasoning": piece} for piece in _cut(draw, answer.reasoning)]
    text: list[Json] = [{"content": piece} for piece in _cut(draw, answer.content)]
    notes: list[Json] = [{"annotations": [note]} for note in answer.annotations]
    refusal: list[Json] = [{"refusal": piece} for piece in _cut(draw, answer.refusal)]
    calls = [_call_pieces(draw, index, whole) for index, whole in enumerate(answer.tool_calls)]
    if in_turns:
        pieces = _merged(draw, [thoughts, text, refusal, *calls]) + notes
    else:
        pieces = thoughts + text + notes + refusal + _merged(draw, calls)
    return answer, [delta(**piece) for piece in pieces]


def _whole(answer: AnswerMessage, finish: str) -> Json:
    completion = ChatCompletion(
        id="chatcmpl-1",
        model="m",
        provider="P",
        choices=[Choice(index=0, message=answer, finish_reason=finish)],
        usage=_USAGE,
    )
    read: Json = json.loads(MessagesAnswer("asked").whole(completion))
    return read


def _told(chunks: list[ChatCompletionChunk], finish: str) -> Json:
    return messages_reader.message(told(*chunks, delta(finish), ChatCompletionChunk(usage=_USAGE)))


@given(_streams(in_turns=False), _FINISH)
def test_a_stream_adds_up_to_the_whole_answer(
    stream: tuple[AnswerMessage, list[ChatCompletionChunk]], finish: str
) -> None:
    answer, chunks = stream
    if chunks:
        assert _told(chunks, finish) == _whole(answer, finish)


@given(_streams(in_turns=True), _FINISH)
def test_a_stream_in_any_order_loses_nothing(
    stream: tuple[AnswerMessage, list[ChatCompletionChunk]], finish: str
) -> None:
    answer, chunks = stream
    got, wanted = _told(chunks, finish), _whole(answer, finish)
    for kind, member in (("thinking", "thinking"), ("text", "text")):
        assert sorted(_joined(got, kind, member)) == sorted(_joined(wanted, kind, member))
    calls = [block for block in got["content"] if block["type"] == "tool_use"]
    assert calls == [block for block in wanted["content"] if block["type"] == "tool_use"]
    assert got["stop_reason"] == wanted["stop_reason"]


def _joined(message: Json, kind: str, member: str) -> str:
    return "".join(block[member] for block in message["content"] if block["type"] == kind)
