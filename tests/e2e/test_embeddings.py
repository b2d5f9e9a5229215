"""Embeddings through the real service: what is asked reaches the upstream, and its vectors come back."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from tests.calls import rest_text
from tests.exchange import EMBEDDINGS
from tests.openai_api.asks import changed
from tests.openai_api.shapes import plain, told
from tests.upstream import Told

if TYPE_CHECKING:
    from tests.exchange import Ways
    from tests.upstream import Upstream

each_way = pytest.mark.parametrize("way", ["rest", "grpc"])
Members = dict[str, Any]
MODEL = "embed-1"
ODD_VALUE = Raw(rb'{"z" :1.0, "a":[ 1e3,-0.0,12345678901234567890, null,"\u00e4\/" ]}')
PLANES = '\u0000\t"\\/é\u2028\U0001f600\U0010ffff'
VECTORS = [[0.0, -1.5, 2.0**-20], [1.0, 3.4028234663852886e38, -0.0]]


def packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def answer(*vectors: Any, **more: Any) -> Members:
    """An upstream's answer with these vectors."""
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return {"object": "list", "data": data, "model": "embed-1-large", "usage": usage, **more}


def shown(came: Members, way: str) -> list[Any]:
    """The vectors that a caller sees, by REST's name."""
    name = "embedding" if way == "rest" else "embedding_base64"
    return [item.get(name, item.get("embedding")) for item in came["data"]]


@each_way
@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        pytest.param({"input": "a"}, {"input": "a"}, id="a text"),
        pytest.param({"input": PLANES}, {"input": PLANES}, id="a text of all planes"),
        pytest.param({"input": ["a", "b"]}, {"input": ["a", "b"]}, id="texts"),
        pytest.param({"input": ["a"]}, {"input": "a"}, id="a list of one text"),
        pytest.param({"input": [1, 2, 2**31 - 1]}, {"input": [1, 2, 2**31 - 1]}, id="tokens"),
        pytest.param({"input": [0]}, {"input": [0]}, id="one token"),
        pytest.param({"input": [[1, 2], [0]]}, {"input": [[1, 2], [0]]}, id="lists of tokens"),
        pytest.param({"input": [[1, 2]]}, {"input": [1, 2]}, id="a list of one list of tokens"),
        pytest.param({"input": ["a", [1]]}, {"input": ["a", [1]]}, id="a text and tokens"),
        pytest.param({"encoding_format": "float"}, {"encoding_format": "float"}, id="as numbers"),
        pytest.param({"encoding_format": "base64"}, {"encoding_format": "base64"}, id="as base64"),
        pytest.param({"dimensions": 256}, {"dimensions": 256}, id="dimensions"),
        pytest.param({"user": "u"}, {"user": "u"}, id="a user"),
        pytest.param(
            {"input_type": "query", "truncate": ODD_VALUE},
            {"input_type": "query", "truncate": ODD_VALUE},
            id="members that nobody knows yet",
        ),
        pytest.param(dict.fromkeys(("dimensions", "user", "encoding_format")), {}, id="null members"),
    ],
)
def test_what_to_embed_reaches_the_upstream(
    ways: Ways, upstream: Upstream, way: str, sent: Members, arrives: Members
) -> None:
    count = len(sent["input"]) if isinstance(sent.get("input"), list) else 1
    if count > 1 and isinstance(sent["input"][0], int):
        count = 1
    request: Members = {"input": "a"} | sent
    ways.hear(way, upstream, Told(answer(*[[0.5]] * count)), api=EMBEDDINGS, model=MODEL, **request)
    assert upstream.last().path == "/told/v1/embeddings"
    assert told(upstream.last().body) == told(plain({"model": MODEL, "input": "a"} | arrives))
    assert changed(upstream, request) == []


@each_way
@pytest.mark.parametrize("format_", [None, "float", "base64"])
@pytest.mark.parametrize("made", ["float", "base64"])
def test_vectors_come_back_in_the_form_that_was_asked_for(
    ways: Ways, upstream: Upstream, way: str, format_: str | None, made: str
) -> None:
    vectors = VECTORS if made == "float" else [packed(vector) for vector in VECTORS]
    asked = {"input": ["a", "b"]} | ({"encoding_format": format_} if format_ else {})
    [came] = ways.hear(way, upstream, Told(answer(*vectors)), api=EMBEDDINGS, model=MODEL, **asked)
    wanted = [packed(vector) for vector in VECTORS] if format_ == "base64" else VECTORS
    assert shown(came, way) == wanted
    assert [item["index"] for item in came["data"]] == [0, 1]
    assert (came["object"], came["model"]) == ("list", "embed-1-large")
    assert {item["object"] for item in came["data"]} == {"embedding"}


@each_way
def test_vectors_come_back_in_the_order_of_the_inputs(ways: Ways, upstream: Upstream, way: str) -> None:
    sent = answer([0.0], [1.0], [2.0])
    sent["data"].reverse()
    [came] = ways.hear(way, upstream, Told(sent), api=EMBEDDINGS, model=MODEL, input=["a", "b", "c"])
    assert shown(came, way) == [[0.0], [1.0], [2.0]]


@each_way
def test_what_an_upstream_adds_comes_back(ways: Ways, upstream: Upstream, way: str) -> None:
    sent = answer([0.5], id="e-1", created=5)
    sent["data"][0]["embedded"] = {"a": [1.5, None]}
    sent["usage"]["cost"] = 0.25
    [came] = ways.hear(way, upstream, Told(sent), api=EMBEDDINGS, model=MODEL, input="a")
    assert came["extra"] == {"id": "e-1", "created": 5}
    assert came["data"][0]["extra"] == {"embedded": {"a": [1.5, None]}}
    assert came["usage"] == {"prompt_tokens": 3, "total_tokens": 3, "extra": {"cost": 0.25}}


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(answer(), id="none"),
        pytest.param(answer([0.5]), id="too few"),
        pytest.param(answer([0.5], [0.5], [0.5]), id="too many"),
        pytest.param(answer([0.5], []), id="an empty one"),
        pytest.param(answer([0.5], "?"), id="one that is no base64"),
        pytest.param(answer([0.5], ["a"]), id="one of no numbers"),
        pytest.param(answer([0.5], None), id="one that is null"),
        pytest.param({"object": "list", "data": [1, 2], "model": "m"}, id="no objects"),
        pytest.param({"object": "list", "model": "m"}, id="no list"),
    ],
)
def test_an_answer_without_a_vector_for_each_input_is_broken(
    ways: Ways, upstream: Upstream, sent: Members
) -> None:
    upstream.answers[MODEL] = Told(sent)
    body = b'{"model": "embed-1", "provider": "told", "input": ["a", "b"]}'
    outcome = rest_text(ways.service, body, stream=False, path="embeddings")
    assert outcome.code == 503
    assert [attempt["cause"] for attempt in outcome.error["attempts"]] == ["broken_answer"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        pytest.param(b"{}", "input", id="no input"),
        pytest.param(b'{"input": []}', "input", id="an empty list"),
        pytest.param(b'{"input": [[]]}', "input[0]", id="a list of no tokens"),
        pytest.param(b'{"input": "a", "encoding_format": "int8"}', "encoding_format", id="a format"),
        pytest.param(b'{"input": "a", "dimensions": 0}', "dimensions", id="no dimensions"),
    ],
)
def test_a_wrong_request_is_refused_with_the_member_at_fault(ways: Ways, body: bytes, param: str) -> None:
    named = body.replace(b"{", b'{"model": "embed-1", "provider": "told", ', 1).replace(b", }", b"}")
    outcome = rest_text(ways.service, named, stream=False, path="embeddings")
    assert (outcome.code, outcome.error["error"]["param"]) == (400, param)


TEXTS = st.text(max_size=8).filter(bool)
TOKENS = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@each_way
@settings(max_examples=50, deadline=None)
@given(
    inputs=st.lists(TEXTS | TOKENS, min_size=2, max_size=4),
    wanted=st.sampled_from(["float", "base64"]),
    made=st.sampled_from(["float", "base64"]),
    data=st.data(),
)
def test_any_inputs_are_embedded(
    ways: Ways, upstream: Upstream, way: str, inputs: list[Any], wanted: str, made: str, data: st.DataObject
) -> None:
    vectors = [data.draw(st.lists(FLOATS, min_size=1, max_size=4)) for _ in inputs]
    sent = answer(*(vectors if made == "float" else map(packed, vectors)))
    [came] = ways.hear(
        way, upstream, Told(sent), api=EMBEDDINGS, model=MODEL, input=inputs, encoding_format=wanted
    )
    assert upstream.last().body["input"] == inputs
    assert shown(came, way) == (vectors if wanted == "float" else [packed(vector) for vector in vectors])
