"""Embeddings in OpenAI's dialect: bytes in, bytes out."""

import base64
import struct
from typing import Any

import pytest

from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.input_pb2 import TextInput
from server.errors import AttemptFailed
from tests.server.drivers.openai.dialect import body, read

VECTOR = [0.5, -0.25]
PACKED = base64.b64encode(struct.pack("<2f", *VECTOR)).decode()


def embed(*inputs: str | list[int], **fields: Any) -> CreateEmbeddingsRequest:
    given = [TextInput(text=i) if isinstance(i, str) else TextInput(tokens=i) for i in inputs]
    return CreateEmbeddingsRequest(model="public", input=given, **fields)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        pytest.param(["a"], "a", id="a text"),
        pytest.param(["a", "b"], ["a", "b"], id="texts"),
        pytest.param([[1, 2]], [1, 2], id="tokens"),
        pytest.param([[1], [2]], [[1], [2]], id="lists of tokens"),
    ],
)
def test_inputs_are_sent_bare(inputs: list[Any], expected: Any) -> None:
    assert body(embed(*inputs)) == {"model": "own-name", "input": expected}


def test_a_form_is_asked_of_a_provider_that_has_it() -> None:
    asked = embed("a", encoding_format="base64", dimensions=2)
    assert body(asked)["encoding_format"] == "base64"
    assert "encoding_format" not in body(asked, embedding_params=["dimensions"])


@pytest.mark.parametrize("given", [VECTOR, PACKED], ids=["floats", "base64"])
@pytest.mark.parametrize("wanted", ["", "float", "base64"])
def test_a_vector_comes_in_the_form_asked_for(given: Any, wanted: str) -> None:
    made = read(embed("a", encoding_format=wanted), {"data": [{"embedding": given}], "usage": {"x": 1}})
    [item] = made.data
    assert (item.object, item.index, made.object, made.provider) == ("embedding", 0, "list", "Up")
    if wanted == "base64":
        assert (item.embedding_base64, list(item.embedding)) == (PACKED, [])
    else:
        assert (item.embedding_base64, list(item.embedding)) == ("", VECTOR)
    assert made.usage.extra["x"] == 1


def test_vectors_are_in_the_order_of_their_inputs() -> None:
    data = [{"index": 1, "embedding": [1]}, {"index": 0, "embedding": [0]}]
    made = read(embed("a", "b"), {"data": data})
    assert [list(item.embedding) for item in made.data] == [[0], [1]]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({}, id="no data"),
        pytest.param({"data": 5}, id="data of another kind"),
        pytest.param({"data": [5]}, id="items of another kind"),
        pytest.param({"data": []}, id="too few"),
        pytest.param({"data": [{"embedding": [1]}] * 2}, id="too many"),
        pytest.param({"data": [{"index": 7, "embedding": [1]}]}, id="another index"),
        pytest.param({"data": [{"embedding": []}]}, id="an empty vector"),
        pytest.param({"data": [{"embedding": ["a"]}]}, id="words"),
        pytest.param({"data": [{"embedding": "%%%"}]}, id="not base64"),
        pytest.param({"data": [{"embedding": "AAA="}]}, id="half a number"),
        pytest.param({"data": [{"embedding": "AADAfw=="}]}, id="not a number"),
        pytest.param({"data": [{}]}, id="nothing"),
    ],
)
def test_an_answer_without_a_vector_for_each_input_is_broken(raw: Any) -> None:
    with pytest.raises(AttemptFailed) as failed:
        read(embed("a"), raw)
    assert failed.value.cause == "broken_answer"


def test_numbers_that_no_32_bits_hold_are_broken() -> None:
    with pytest.raises(AttemptFailed):
        read(embed("a", encoding_format="base64"), {"data": [{"embedding": [1e300]}]})
