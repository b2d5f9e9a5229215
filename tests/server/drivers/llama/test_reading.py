"""What a model writes, read in whatever pieces it comes."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.drivers.llama.reading import Call, Piece, Splitter, Stops, Text, Thought

MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>", '{"name": "f", "arguments": {}}', "\n", "a")
WRITTEN = st.lists(st.sampled_from(MARKS) | st.text(max_size=4), max_size=8).map("".join)


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """The pieces with those of the same kind put together, where they follow one another."""
    out: list[Piece] = []
    for piece in pieces:
        last = out[-1] if out else None
        if isinstance(piece, Text) and isinstance(last, Text):
            out[-1] = Text(last.text + piece.text)
        elif isinstance(piece, Thought) and isinstance(last, Thought):
            out[-1] = Thought(last.text + piece.text)
        else:
            out.append(piece)
    return out


def read(pieces: Iterable[str], *, thinking: bool = False, tools: bool = True) -> list[Piece]:
    splitter = Splitter(thinking=thinking, tools=tools)
    found = [one for piece in pieces for one in splitter.feed(piece)]
    return joined([*found, *splitter.end()])


def until(pieces: Iterable[str], stops: list[str]) -> tuple[str, bool]:
    reader = Stops(stops)
    text = ""
    for piece in pieces:
        text += reader.feed(piece)
        if reader.hit:
            return text, True
    return text + reader.end(), False


CALLED = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
BROKEN = '<tool_call>{"name": "f", "arguments": {"a": </tool_call>'


@pytest.mark.parametrize(
    ("written", "found"),
    [
        pytest.param("Hi", [Text("Hi")], id="text"),
        pytest.param("", [], id="nothing"),
        pytest.param("  Hi ", [Text("  Hi ")], id="white space is text"),
        pytest.param("<think>\nHm\n</think>\n\nHi", [Thought("Hm"), Text("Hi")], id="thought"),
        pytest.param("<think>\n\n</think>\n\nHi", [Text("Hi")], id="no thought between the marks"),
        pytest.param("<think>Hm", [Thought("Hm")], id="thought without an end"),
        pytest.param("Is <think> a mark?", [Text("Is <think> a mark?")], id="no mark within a text"),
        pytest.param("<thin", [Text("<thin")], id="half a mark"),
        pytest.param(CALLED, [Call("f", '{"a": 1}')], id="call"),
        pytest.param(f"So:\n{CALLED}\n", [Text("So:"), Call("f", '{"a": 1}')], id="call after text"),
        pytest.param(f"{CALLED}\n{CALLED}", [Call("f", '{"a": 1}')] * 2, id="two calls"),
        pytest.param(f"{CALLED} Done", [Call("f", '{"a": 1}'), Text("Done")], id="text after a call"),
        pytest.param(
            CALLED.removesuffix("</tool_call>"), [Call("f", '{"a": 1}')], id="call without its end"
        ),
        pytest.param(BROKEN, [Text(BROKEN)], id="a call that is no JSON stays text"),
        pytest.param("<tool_call>", [Text("<tool_call>")], id="a mark alone"),
        pytest.param(
            '<tool_call>{"name": "", "arguments": {}}</tool_call>',
            [Text('<tool_call>{"name": "", "arguments": {}}</tool_call>')],
            id="a call without a name stays text",
        ),
        pytest.param('<tool_call>{"name": "f"}</tool_call>', [Call("f", "{}")], id="no arguments"),
        pytest.param(
            '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>',
            [Call("f", '{"a": 1}')],
            id="arguments as JSON text",
        ),
        pytest.param("<think>Hm</think>" + CALLED, [Thought("Hm"), Call("f", '{"a": 1}')], id="both"),
    ],
)
def test_what_is_written_is_told_apart(written: str, found: list[Piece]) -> None:
    assert read([written]) == found
    assert read(written) == found  # letter by letter


def test_a_thought_that_the_prompt_has_begun_goes_on() -> None:
    assert read(["\nHm", "</think>", "\nHi"], thinking=True) == [Thought("Hm"), Text("Hi")]


def test_calls_are_text_where_there_are_no_tools() -> None:
    assert read([CALLED], tools=False) == [Text(CALLED)]


def test_text_is_not_held_back_without_a_reason() -> None:
    splitter = Splitter(tools=True)
    assert splitter.feed("Hi") == [Text("Hi")]
    assert splitter.feed(" there <") == [Text(" there")]
    assert splitter.feed("3") == [Text(" <3")]


@given(written=WRITTEN, cuts=st.lists(st.integers(0, 60)), thinking=st.booleans(), tools=st.booleans())
def test_it_is_the_same_in_whatever_pieces_it_comes(
    written: str, cuts: list[int], thinking: bool, tools: bool
) -> None:
    whole = read([written], thinking=thinking, tools=tools)
    assert read(pieces(written, cuts), thinking=thinking, tools=tools) == whole


@given(written=st.text(max_size=60), cuts=st.lists(st.integers(0, 60)))
def test_a_text_without_marks_is_lost_nowhere(written: str, cuts: list[int]) -> None:
    if "<" not in written:
        assert read(pieces(written, cuts)) == ([Text(written)] if written else [])


@given(
    written=st.text("ab ", max_size=40),
    stops=st.lists(st.text("ab ", max_size=4), max_size=3),
    cuts=st.lists(st.integers(0, 40)),
)
def test_a_text_ends_before_the_first_stop(written: str, stops: list[str], cuts: list[int]) -> None:
    ends = [
        end for stop in stops if stop for end in range(1, len(written) + 1) if written[:end].endswith(stop)
    ]
    text, hit = until(written, stops)  # letter by letter
    assert hit == bool(ends)
    if hit:
        ended = written[: min(ends)]
        longest = max(len(stop) for stop in stops if stop and ended.endswith(stop))
        assert text == ended[: len(ended) - longest]
    else:
        assert text == written
    found, was_hit = until(pieces(written, cuts), stops)
    assert was_hit == hit
    assert written.startswith(found)
    assert not any(stop and stop in found for stop in stops)


def pieces(text: str, cuts: list[int]) -> list[str]:
    ends = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    return [text[start:end] for start, end in zip(ends, [*ends[1:], len(text)], strict=True)]
