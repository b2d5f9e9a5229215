"""Whatever providers add, and wherever: what comes out of a dialect is one JSON object, or whole events."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
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
from interference.v1.tool_pb2 import CustomToolCall, FunctionCall, ToolCall
from interference.v1.usage_pb2 import CompletionTokensDetails, PromptTokensDetails, Usage
from server.ingress.base import Answer, Reader
from server.ingress.messages import request as messages
from server.ingress.responses import request as responses
from tests.server.ingress.messages import reader as messages_reader
from tests.server.ingress.responses import reader as responses_reader

# Names that stand for something in the contract or in a dialect, and one that does not.
_NAMES = ["function", "custom", "annotations", "type", "stop_reason", "status", "obfuscation", "new"]
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=3),
    max_leaves=6,
)
_EXTRAS = st.dictionaries(st.sampled_from(_NAMES), _VALUES, min_size=1, max_size=4)
_TEXTS = st.none() | st.sampled_from(["", "a", "{}", '{"a"', ":1}"])


@st.composite
def _calls(draw: st.DrawFn) -> ToolCall:
    function = FunctionCall(name=draw(_TEXTS), arguments=draw(_TEXTS))
    custom = CustomToolCall(name=draw(_TEXTS), input=draw(_TEXTS))
    kind = draw(st.sampled_from(["function", "custom", "both", "neither"]))
    return ToolCall(
        index=draw(st.none() | st.integers(-1, 2)),
        id=draw(_TEXTS),
        type=draw(_TEXTS) or "",
        function=function if kind in ("function", "both") else None,
        custom=custom if kind in ("custom", "both") else None,
    )


@st.composite
def _said(draw: st.DrawFn) -> AnswerMessage:
    cited = UrlCitation(start_index=draw(st.integers(-9, 9)), end_index=draw(st.integers(-9, 9)))
    notes = [Annotation(type="url_citation", url_citation=cited), Annotation(type="file"), Annotation()]
    return AnswerMessage(
        content=draw(_TEXTS),
        reasoning=draw(_TEXTS),
        refusal=draw(_TEXTS),
        annotations=draw(st.lists(st.sampled_from(notes), max_size=2)),
        tool_calls=draw(st.lists(_calls(), max_size=2)),
        function_call=draw(st.none() | st.just(FunctionCall(name="f", arguments="{}"))),
    )


_USAGES = st.none() | st.just(
    Usage(
        prompt_tokens_details=PromptTokensDetails(cached_tokens=1),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=1),
    )
)


@st.composite
def _chunks(draw: st.DrawFn) -> ChatCompletionChunk:
    choice = ChunkChoice(index=0, delta=draw(_said()), finish_reason=draw(_TEXTS))
    chunk = ChatCompletionChunk(choices=[choice], usage=draw(_USAGES))
    _add(draw, chunk)
    return chunk


@st.composite
def _completions(draw: st.DrawFn) -> ChatCompletion:
    choice = Choice(index=0, message=draw(_said()), finish_reason=draw(_TEXTS))
    completion = ChatCompletion(choices=[choice], usage=draw(_USAGES))
    _add(draw, completion)
    return completion


def _add(draw: st.DrawFn, message: Message) -> None:
    """Adds something to each message that there is."""
    for inner in _messages(message):
        if "extra" in inner.DESCRIPTOR.fields_by_name:
            inner.extra.update(draw(_EXTRAS))  # type: ignore[attr-defined]


def _messages(message: Message) -> Iterator[Message]:
    for field, value in message.ListFields():
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE and field.name != "extra":
            for inner in value if field.is_repeated else [value]:
                yield from _messages(inner)
    yield message


def _answer(read: Reader) -> Answer:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    asked = {"model": "m", "input": "Hi"} if read is responses.read else body
    return read(json.dumps(asked).encode()).answer


_EXAMPLES = settings(deadline=None)


@pytest.mark.parametrize("read", [messages.read, responses.read], ids=["messages", "responses"])
@_EXAMPLES
@given(completion=_completions())
def test_any_addition_to_a_whole_answer_leaves_it_an_object(
    read: Reader, completion: ChatCompletion
) -> None:
    assert isinstance(json.loads(_answer(read).whole(completion)), dict)


@pytest.mark.parametrize(
    ("read", "events"),
    [
        pytest.param(messages.read, messages_reader.events, id="messages"),
        pytest.param(responses.read, responses_reader.parsed, id="responses"),
    ],
)
@_EXAMPLES
@given(chunks=st.lists(_chunks(), max_size=4))
def test_any_addition_to_chunks_leaves_a_stream_of_events(
    read: Reader, events: Callable[[bytes], Any], chunks: list[ChatCompletionChunk]
) -> None:
    answer = _answer(read)
    stream = b"".join([*map(answer.chunk, chunks), answer.end()])
    assert events(stream)[-1]["type"] in ("message_stop", "response.completed", "response.incomplete")
