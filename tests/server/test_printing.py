"""Answers as callers of REST read them."""

import json
import re
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, SerializeToJsonError
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from interference.v1.completion_pb2 import ChatCompletion, ChatCompletionChunk
from interference.v1.completions_pb2 import TextCompletion
from interference.v1.embeddings_pb2 import CreateEmbeddingsResponse, Embedding
from interference.v1.error_pb2 import Error, ErrorResponse
from interference.v1.images_pb2 import GenerateImagesResponse
from server.forms import printed
from tests.messages import messages

ANSWERS = (
    *(ChatCompletion, ChatCompletionChunk, TextCompletion),
    *(CreateEmbeddingsResponse, GenerateImagesResponse, ErrorResponse),
)
ADDED = ("choices", "top_logprobs", "param")  # shown where they are empty, too
ENDLESS = ("NaN", "Infinity", "-Infinity")  # protobuf's own JSON has words for them


def read(message: Message) -> Any:
    return json.loads(printed(message), parse_constant=pytest.fail)


def compared(value: Any) -> Any:
    """What must be the same in protobuf's own JSON and in ours."""
    if isinstance(value, list):
        return [compared(item) for item in value]
    if not isinstance(value, dict):
        return None if value in ENDLESS else value
    named = {"embedding" if name == "embedding_base64" else name: item for name, item in value.items()}
    kept = {name: compared(item) for name, item in named.items()}
    return {name: item for name, item in kept.items() if name not in ADDED or item not in ([], None)}


@given(st.sampled_from(ANSWERS).flatmap(messages))
def test_an_answer_is_printed_as_protobuf_has_it(answer: Message) -> None:
    shown = compared(read(answer))
    try:
        known = MessageToDict(answer, preserving_proto_field_name=True)
    except SerializeToJsonError:  # an endless number in what a provider adds, for which it has no word
        return
    assert shown == compared(known)


def test_a_chunk_has_its_choices_where_it_tells_the_usage_alone() -> None:
    chunk = ChatCompletionChunk(id="a")
    chunk.usage.total_tokens = 2
    assert read(chunk) == {"id": "a", "usage": {"total_tokens": 2}, "choices": []}


def test_a_token_has_its_list_of_likely_ones() -> None:
    answer = ChatCompletion()
    answer.choices.add().logprobs.content.add(logprob=-0.1)
    tokens = read(answer)["choices"][0]["logprobs"]["content"]
    assert tokens == [{"logprob": -0.1, "top_logprobs": []}]


def test_an_error_has_a_param() -> None:
    assert read(ErrorResponse(error=Error(message="m"))) == {"error": {"message": "m", "param": None}}


def test_a_vector_in_base64_is_shown_where_the_other_would_be() -> None:
    answer = CreateEmbeddingsResponse(data=[Embedding(index=0, embedding_base64="AAAA")])
    assert read(answer) == {"data": [{"index": 0, "embedding": "AAAA"}]}


def test_numbers_that_a_provider_adds_are_whole_where_they_were() -> None:
    extra = Struct()
    extra.update({"a": 1, "b": 0.5, "c": [True, None, {"d": "e"}]})
    text = printed(ChatCompletionChunk(extra=extra)).decode()
    assert all(re.search(part, text) for part in (r'"a":1[,}]', r'"b":0\.5[,}]', r'"c":\[true,null,'))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_an_endless_number_is_null(number: float) -> None:
    extra = Struct()
    extra.fields["a"].number_value = number
    answer = ChatCompletionChunk(extra=extra)
    answer.choices.add().logprobs.content.add(logprob=number)
    shown = read(answer)
    assert shown["extra"] == {"a": None}
    assert shown["choices"][0]["logprobs"]["content"][0]["logprob"] is None
