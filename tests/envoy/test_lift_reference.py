"""Lifting against the reference: random bodies, well-formed and damaged."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.envoy import oracle
from tests.envoy.lua_edge import CHAT, EMBEDDINGS, LuaEdge

EDGE = LuaEdge()

NAMES = sorted({name for shape in EDGE.contract.shapes.values() for name in shape.members})
TEXTS = st.text(alphabet=st.sampled_from('abAB "\\/\n\t\x01é€😀{}[]:,') | st.characters(codec="utf-8"))
KEYS = st.sampled_from([*NAMES, "x", "extra_json", "maxTokens", "é"]) | TEXTS
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
SPACES = st.text(alphabet=" \n\r\t", max_size=2)


@st.composite
def strings(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    """A JSON string, some of its characters escaped that need not be."""
    escape: str = draw(st.sampled_from(["", "", string.ascii_letters, " é😀/"]))
    written = (
        json.dumps(character)[1:-1]
        if character in '"\\' or ord(character) < 32
        else _unit_escapes(character)
        if character in escape
        else character
        for character in draw(texts)
    )
    return '"' + "".join(written) + '"'


def _unit_escapes(character: str) -> str:
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


@st.composite
def lists(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(values, max_size=3))
    space = draw(SPACES)
    return "[" + space + f"{space},{space}".join(items) + space + "]"


@st.composite
def objects(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    pairs = draw(st.lists(st.tuples(strings(KEYS), values), max_size=5))
    space = draw(SPACES)
    members = [f"{name}{space}:{space}{value}" for name, value in pairs]
    twice: bool = draw(st.booleans())
    if members and twice:
        members.append(draw(st.sampled_from(members)))
    return "{" + space + f",{space}".join(members) + space + "}"


VALUES = st.recursive(
    SCALARS.filter(lambda value: not isinstance(value, str)).map(json.dumps) | strings(TEXTS),
    lambda values: lists(values) | objects(values),
    max_leaves=12,
)


def message_text(message: str, depth: int) -> st.SearchStrategy[str]:
    """Objects that mostly fit a message, so that the walk goes deep."""
    members = EDGE.contract.shapes[message].members
    deeper = [name for name, member in members.items() if member.message]

    def value(name: str) -> st.SearchStrategy[str]:
        member = members.get(name)
        if not (member and member.message and depth):
            return VALUES
        one = message_text(member.message, depth - 1)
        return one | lists(one | VALUES) | strings(TEXTS)

    names = st.sampled_from(deeper or ["x"]) | KEYS
    pair = names.flatmap(lambda name: value(name).map(lambda text: f"{json.dumps(name)}: {text}"))
    return st.lists(pair, max_size=5).map(lambda pairs: "{" + ",".join(pairs) + "}")


MESSAGES = st.sampled_from([CHAT, EMBEDDINGS])
BODIES = MESSAGES.flatmap(
    lambda message: st.tuples(
        (message_text(message, 3) | objects(VALUES)).map(str.encode), st.just(message)
    )
)


def same(left: Any, right: Any) -> bool:
    """Equal as JSON: `1`, `1.0` and `true` are three values."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def half_surrogates(body: bytes) -> bool:
    """Whether an escape stands for half a character: JSON for Python, and for nobody who needs UTF-8."""
    pairs = json.loads(body, object_pairs_hook=list)
    try:
        json.dumps(pairs, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def check(body: bytes, message: str) -> None:
    """The reference's document; for what is malformed, nothing that is well-formed."""
    text, stream = EDGE.lift(body, message)
    try:
        expected, streams = oracle.lift(body, EDGE.contract, message)
    except ValueError:
        if text is not None:
            with pytest.raises(ValueError, match=r"."):
                oracle.DECODER.decode(text.decode())
        return
    if text is None and half_surrogates(body):
        return
    assert text is not None, stream
    assert same(json.loads(text), expected)
    assert stream is streams


@settings(max_examples=150, deadline=None)
@given(BODIES)
def test_lifting_equals_the_reference(asked: tuple[bytes, str]) -> None:
    check(*asked)


@settings(max_examples=150, deadline=None)
@given(BODIES, st.data())
def test_a_malformed_body_never_becomes_a_well_formed_one(asked: tuple[bytes, str], data: Any) -> None:
    body, message = asked
    i = data.draw(st.integers(0, len(body)))
    j = data.draw(st.integers(i, min(len(body), i + 3)))
    middle = data.draw(st.sampled_from(list(b'"\\{}[]:,x0 \n\xff')).map(lambda b: bytes([b])))
    check(body[:i] + data.draw(st.sampled_from([b"", middle])) + body[j:], message)


@settings(max_examples=50, deadline=None)
@given(BODIES, st.data())
def test_a_cut_body_is_refused(asked: tuple[bytes, str], data: Any) -> None:
    body, message = asked
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    assert EDGE.lift(cut, message)[0] is None
