"""What a body may hold is counted before it is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidRequest
from server.ingress import wire
from server.ingress.base import Reader
from server.ingress.messages import request as messages
from server.ingress.responses import request as responses

_MANY = 200_001


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(b'{"x":{%b}}' % b",".join([b'"k":1'] * _MANY), "200000 members", id="members"),
        pytest.param(b'{"x":{%b}}' % b",".join([b'"k" :1'] * _MANY), "200000 members", id="with-spaces"),
        pytest.param(
            b'{"x":{%b}}' % b",".join([b'"\\\\":1'] * _MANY), "200000 members", id="names-that-end-in-\\"
        ),
        pytest.param(b'{"x":[%b]}' % b",".join([b"[]"] * 500_001), "500000 lists and objects", id="lists"),
        pytest.param(b'{"x":[%b]}' % b",".join([b"1"] * 1_000_002), "1000000 values", id="values"),
    ],
)
@pytest.mark.parametrize("read", [messages.read, responses.read], ids=["messages", "responses"])
def test_a_body_that_holds_too_much_is_refused(read: Reader, body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest, match=f"The body has more than {said}"):
        read(body)


def test_marks_in_strings_do_not_count() -> None:
    text = '":[{,\\' * 1_100_000
    body = json.dumps({"x": text, ":": ":"}).encode()
    assert set(wire.body(body).left()) == {"x", ":"}


_JSON = st.recursive(
    st.none() | st.integers() | st.text(alphabet='":[{,\\a ', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='":,\\a', max_size=3), inner)
    ),
)


def _counted(value: object) -> tuple[int, int, int]:
    """Members, lists and objects, and the commas between values."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    members = len(inner) if isinstance(value, dict) else 0
    own = (members, int(isinstance(value, dict | list)), max(0, len(inner) - 1))
    below = [_counted(item) for item in inner]
    return tuple(map(sum, zip(own, *below, strict=True)))  # type: ignore[return-value]


@given(_JSON)
def test_the_marks_of_a_json_text_are_those_outside_its_strings(value: object) -> None:
    marks = wire._marks(json.dumps(value).encode())
    told = (marks.count(b":"), marks.count(b"[") + marks.count(b"{"), marks.count(b","))
    assert told == _counted(value)
