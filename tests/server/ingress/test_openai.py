"""Answers in OpenAI's own format."""

import json

import pytest

from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.error_pb2 import Error, ErrorResponse
from server.ingress.openai import OpenAIAnswer
from server.sse import EventReader

ANSWER = OpenAIAnswer()


def chunk(text: str) -> ChatCompletionChunk:
    made = ChatCompletionChunk(id="1")
    made.choices.add(index=0).delta.content = text
    return made


def test_a_whole_answer_is_one_object() -> None:
    answer = ChatCompletion(id="1", object="chat.completion")
    assert ANSWER.whole(answer) == b'{"id":"1","object":"chat.completion"}'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a", id="a word"),
        pytest.param("data: {}\n\n[DONE]", id="what looks like events"),
        pytest.param("\r\n\x0b\x0c\x1c\x85\u2028\u2029", id="all that ends a line for somebody"),
        pytest.param("é \U0001f600", id="other scripts"),
    ],
)
def test_a_chunk_is_an_event_on_one_line(text: str) -> None:
    event = ANSWER.chunk(chunk(text))
    assert len(event.decode().splitlines()) == 2  # the data, and the blank line that ends it
    (data,) = EventReader(10_000).feed(event)
    assert json.loads(data)["choices"] == [{"index": 0, "delta": {"content": text}}]


def test_a_stream_that_went_well_ends_with_a_word_of_its_own() -> None:
    assert ANSWER.end() == b"data: [DONE]\n\n"


def test_a_stream_that_failed_ends_with_the_error() -> None:
    error = Error(message="It broke.", type="api_error", code="stream_broken")
    (data,) = EventReader(10_000).feed(ANSWER.failed(ErrorResponse(error=error, provider="A")))
    told = {"message": "It broke.", "type": "api_error", "code": "stream_broken", "param": None}
    assert json.loads(data) == {"error": told, "provider": "A"}
