"""Whatever a provider of our own contract answers is read as a whole answer, or as one that is none."""

import math
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, MessageToJson
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.completions_pb2 import CreateTextCompletionRequest, TextCompletion
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest, CreateEmbeddingsResponse
from interference.v1.images_pb2 import GenerateImagesRequest, GenerateImagesResponse
from interference.v1.input_pb2 import TextInput
from server.drivers.base import Target
from server.drivers.remote import reading
from server.drivers.remote.stream import ChunkReader
from server.errors import AttemptFailed
from server.rows import Row
from tests.messages import messages

TARGET = Target(Row(id="Plug", driver="grpc"), "own", "key-of-ours-0123456789")
ANSWERS: list[tuple[Any, Any]] = [
    (ChatCompletion, CreateCompletionRequest()),
    (TextCompletion, CreateTextCompletionRequest()),
    (CreateEmbeddingsResponse, CreateEmbeddingsRequest(input=[TextInput(text="a")])),
    (GenerateImagesResponse, GenerateImagesRequest()),
]
EXAMPLES = settings(max_examples=200, deadline=None)


def made(kind: Any, **fields: Any) -> Any:
    """A message of dictionaries, which the types of the constructors do not know."""
    return kind(**fields)


def whole(answer: Any, request: Any = None) -> Any:
    request = request or next(asks for kind, asks in ANSWERS if isinstance(answer, kind))
    return reading.whole(type(answer), answer.SerializeToString(), request, TARGET)


def stream(*chunks: Any, include_usage: bool = False) -> list[Any]:
    reader: Any = ChunkReader(type(chunks[0]), TARGET, include_usage=include_usage)
    read = [made for chunk in chunks for made in reader.feed(chunk.SerializeToString())]
    return [*read, *reader.end()]


def chat(**fields: Any) -> ChatCompletion:
    return ChatCompletion(**{"choices": [{"message": {"content": "a"}}], **fields})


def chunk(content: str | None = None, finish: str | None = None, **fields: Any) -> ChatCompletionChunk:
    choices: Any = [{"delta": {"content": content}, "finish_reason": finish}]
    return ChatCompletionChunk(**{"choices": choices, **fields})


def extra(message: Any) -> Any:
    return MessageToDict(message.extra)


@pytest.mark.parametrize(("kind", "request_"), ANSWERS, ids=lambda one: type(one).__name__)
@EXAMPLES
@given(data=st.data())
def test_any_message_is_an_answer_or_broken(
    kind: type[Message], request_: Any, data: st.DataObject
) -> None:
    given_ = data.draw(messages(kind))
    try:
        answer = reading.whole(kind, given_.SerializeToString(), request_, TARGET)  # type: ignore[arg-type]
    except AttemptFailed:
        return
    assert answer.provider == "Plug"
    assert answer.model
    assert not answer.HasField("routing")
    assert kind.FromString(answer.SerializeToString()) == answer
    MessageToJson(answer)


@pytest.mark.parametrize("kind", [ChatCompletionChunk, TextCompletion], ids=lambda one: one.__name__)
@EXAMPLES
@given(data=st.data())
def test_any_chunks_are_a_stream_or_broken(kind: Any, data: st.DataObject) -> None:
    given_ = data.draw(st.lists(messages(kind), min_size=1, max_size=4))
    try:
        chunks = stream(*given_, include_usage=data.draw(st.booleans()))
    except AttemptFailed:
        return
    for one in chunks:
        assert one.id == chunks[0].id
        assert one.provider == "Plug"
        assert not one.HasField("routing")
        MessageToJson(one)


@EXAMPLES
@given(data=st.binary(max_size=100))
def test_any_bytes_are_an_answer_or_broken(data: bytes) -> None:
    for kind, asks in ANSWERS:
        with suppress(AttemptFailed):
            assert reading.whole(kind, data, asks, TARGET).provider == "Plug"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ChatCompletion(id="a"), id="nothing in it"),
        pytest.param(made(ChatCompletion, choices=[{"index": 0}]), id="a choice without a message"),
        pytest.param(chat(choices=[{"index": -1, "message": {}}]), id="a place below the first"),
        pytest.param(chat(choices=[{"index": 1, "message": {}}] * 2), id="a place twice"),
        pytest.param(made(TextCompletion, choices=[{"index": 0}]), id="a text without one"),
        pytest.param(GenerateImagesResponse(created=1), id="no images"),
        pytest.param(made(GenerateImagesResponse, data=[{}]), id="an image that is none"),
        pytest.param(CreateEmbeddingsResponse(), id="no embeddings"),
        pytest.param(made(CreateEmbeddingsResponse, data=[{"embedding": [math.nan]}]), id="no number"),
        pytest.param(chat(extra={"a": math.inf}), id="a number without end in extra"),
        pytest.param(chat(extra={"a": {"b": [-math.inf]}}), id="one deep in it"),
    ],
)
def test_an_answer_that_is_none_is_broken(answer: Any) -> None:
    with pytest.raises(AttemptFailed) as caught:
        whole(answer)
    assert caught.value.cause == "broken_answer"


def test_what_a_model_says_stays_as_it_is() -> None:
    answer = chat(
        id="theirs",
        created=5,
        model="m-1",
        system_fingerprint="fp",
        usage={"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
        choices=[
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "reasoning": "hm",
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}],
                    "extra": {"a": 1},
                },
            }
        ],
        extra={"b": 2},
    )
    read = whole(answer)
    answer.provider, answer.object = "Plug", "chat.completion"
    assert read == answer


def test_tool_calls_get_what_callers_need_to_answer_them() -> None:
    calls: Any = [{"function": {"name": "f"}}, {"id": "a", "function": {"name": "g"}}]
    [choice] = whole(chat(choices=[{"message": {"tool_calls": calls}}])).choices
    ids = [call.id for call in choice.message.tool_calls]
    assert ids[0].startswith("call_")
    assert ids[1] == "a"
    assert [call.type for call in choice.message.tool_calls] == ["function", "function"]
    assert choice.finish_reason == "tool_calls"


def test_how_a_provider_came_to_its_answer_is_told_in_extra() -> None:
    attempts: Any = [{"provider": "Groq", "model": "m", "duration_ms": 1}]
    answer = whole(chat(provider="Groq", routing={"attempts": attempts}))
    assert extra(answer) == {"upstream": {"provider": "Groq", "routing": {"attempts": attempts}}}
    again = whole(answer)  # by another server behind this one
    assert extra(again) == extra(answer)  # the same provider's name is said once
    again = reading.whole(
        ChatCompletion,
        answer.SerializeToString(),
        CreateCompletionRequest(),
        Target(Row(id="Outer", driver="grpc"), "own"),
    )
    assert extra(again) == {"upstream": {"provider": "Plug", "upstream": extra(answer)["upstream"]}}


def test_who_answers_is_told_with_the_first_chunk_and_how_long_it_took_with_the_last() -> None:
    chunks = stream(
        chunk("a", provider="Groq"),
        chunk("b", provider="Groq"),
        chunk(finish="stop", provider="Groq", routing={"total_ms": 5}),
    )
    assert [extra(one) for one in chunks] == [
        {"upstream": {"provider": "Groq"}},
        {},
        {"upstream": {"routing": {"total_ms": 5}}},
    ]


@pytest.mark.parametrize("asked", [True, False])
def test_the_usage_comes_last_and_alone_where_it_was_asked_for(asked: bool) -> None:
    usage: Any = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    chunks = stream(chunk("a"), chunk(finish="stop", usage=usage), include_usage=asked)
    assert [one.HasField("usage") for one in chunks] == [False, False, *([True] if asked else [])]
    assert [len(one.choices) for one in chunks] == [1, 1, *([0] if asked else [])]


def test_pieces_of_tool_calls_have_their_places() -> None:
    def piece(**call: Any) -> Any:
        return made(ChatCompletionChunk, choices=[{"delta": {"tool_calls": [call]}}])

    chunks = stream(
        piece(id="a", function={"name": "f", "arguments": "{"}),
        piece(function={"arguments": "}"}),
        piece(id="b", function={"name": "f"}),
    )
    assert [one.choices[0].delta.tool_calls[0].index for one in chunks] == [0, 0, 1]


def test_a_role_is_said_once() -> None:
    chunks = stream(
        *(made(ChatCompletionChunk, choices=[{"delta": {"role": "assistant"}}]) for _ in range(3))
    )
    assert [one.choices[0].delta.HasField("role") for one in chunks] == [True, False, False]


def test_embeddings_come_in_the_form_that_was_asked_for() -> None:
    request = CreateEmbeddingsRequest(input=[TextInput(text="a")], encoding_format="base64")
    [item] = whole(made(CreateEmbeddingsResponse, data=[{"embedding": [1.0]}]), request).data
    assert (item.embedding_base64, list(item.embedding)) == ("AACAPw==", [])
