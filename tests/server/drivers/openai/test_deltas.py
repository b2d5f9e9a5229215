"""Joining texts that arrived together: the same answer in fewer chunks."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.drivers.openai import deltas

Chunk = dict[str, Any]


def joined(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Joins the texts of chunks."""
    for piece in deltas.joined(map(deltas.apart, chunks)):
        rest: Any = piece.rest
        yield deltas.together(piece, rest)


def text(content: str, index: int = 0, **more: Any) -> Chunk:
    return {"id": "1", "choices": [{"index": index, "delta": {"content": content}}], **more}


def other(delta: Any = None, **choice: Any) -> Chunk:
    return {"id": "1", "choices": [{"index": 0, "delta": delta or {}, **choice}]}


OTHERS = [
    other({"role": "assistant", "content": ""}),
    other(finish_reason="stop"),
    other({"content": "a"}, finish_reason="stop"),
    other({"content": "a"}, logprobs={"content": []}),
    other({"tool_calls": [{"index": 0, "function": {"arguments": "a"}}]}),
    other({"reasoning_content": "a"}),
    other({"content": "a", "reasoning_content": "a"}),
    other({"content": None}),
    {"id": "1", "choices": [], "usage": {"total_tokens": 1}},
    {"id": "1", "choices": [{"index": i, "delta": {"content": "a"}} for i in (0, 1)]},
    {"choices": "odd"},
    {"choices": [5]},
    {},
]


@pytest.mark.parametrize("chunk", OTHERS, ids=str)
def test_what_is_not_plain_text_keeps_its_chunk_and_its_place(chunk: Chunk) -> None:
    chunks = [text("a"), text("b"), chunk, text("c"), text("d")]
    assert list(joined(copy.deepcopy(chunks))) == [text("ab"), chunk, text("cd")]


def test_texts_that_differ_in_all_else_are_not_joined() -> None:
    chunks = [text("a"), text("b", x=1), text("c", x=1), {**text("d"), "id": "2"}]
    assert list(joined(copy.deepcopy(chunks))) == [text("a"), text("bc", x=1), {**text("d"), "id": "2"}]


def test_padding_does_not_keep_texts_apart() -> None:
    chunks = [text("a", obfuscation="x"), text("b", obfuscation="yz")]
    assert list(joined(chunks)) == [text("ab", obfuscation="x")]


def test_texts_of_several_choices_are_not_mixed() -> None:
    chunks = [text("a"), text("b", 1), text("c", 1), text("d")]
    assert list(joined(chunks)) == [text("a"), text("bc", 1), text("d")]


def test_an_error_comes_after_all_that_was_before() -> None:
    def broken() -> Iterator[Chunk]:
        yield text("a")
        yield text("b")
        raise ValueError("broken")

    chunks = joined(broken())
    assert next(chunks) == text("ab")
    with pytest.raises(ValueError, match="broken"):
        next(chunks)


texts = st.builds(text, st.text(max_size=3), st.integers(0, 1))


@given(chunks=st.lists(texts | st.sampled_from(OTHERS)), data=st.data())
def test_however_chunks_arrive_the_answer_is_the_same(chunks: list[Chunk], data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(chunks))).map(sorted))
    batches = [chunks[a:b] for a, b in zip([0, *cuts], [*cuts, len(chunks)], strict=True)]
    got = [chunk for batch in batches for chunk in joined(copy.deepcopy(batch))]
    assert [c for c in got if c in OTHERS] == [c for c in chunks if c in OTHERS]
    for index in (0, 1):
        assert said(got, index) == said(chunks, index)


def said(chunks: list[Chunk], index: int) -> str:
    return "".join(
        choice["delta"]["content"]
        for chunk in chunks
        if chunk not in OTHERS
        for choice in chunk["choices"]
        if choice["index"] == index
    )
