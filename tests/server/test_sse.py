"""Server-sent events, against a reading of the whole text at once, line by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.sse import EventReader, EventTooLong

LIMIT = 1000


def read(blocks: list[bytes], limit: int = LIMIT) -> list[bytes]:
    reader = EventReader(limit)
    events = [event for block in blocks for event in reader.feed(block)]
    return [*events, *reader.close()]


@pytest.mark.parametrize(
    ("text", "events"),
    [
        pytest.param(b"data: a\n\n", [b"a"], id="one event"),
        pytest.param(b"data:a\n\n", [b"a"], id="no space after the colon"),
        pytest.param(b"data:  a\n\n", [b" a"], id="only one space is taken away"),
        pytest.param(b"data: a\r\n\r\n", [b"a"], id="CRLF"),
        pytest.param(b"data: a\r\rdata: b\r\r", [b"a", b"b"], id="CR alone"),
        pytest.param(b"data: a\ndata: b\n\n", [b"a\nb"], id="several data lines"),
        pytest.param(b": ping\n\ndata: a\n\n", [b"a"], id="a comment"),
        pytest.param(b"event: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"], id="other fields"),
        pytest.param(b"event: ping\n\ndata: a\n\n", [b"a"], id="an event without data"),
        pytest.param(b"data\n\n", [b""], id="data without a colon"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [b"a"], id="a byte order mark"),
        pytest.param(b"data: a", [b"a"], id="the end within a line"),
        pytest.param(b"data: a\n", [b"a"], id="the end before the blank line"),
        pytest.param(b"database: a\n\n", [], id="a field that begins alike"),
        pytest.param(b"data: a\nx\n", [b"a"], id="two lines and no blank one"),
        pytest.param(b"data: a\rid: 1\n\n", [b"a"], id="a CR among LFs"),
        pytest.param(b"data: a\n\n\ndata: b\n\n", [b"a", b"b"], id="two blank lines"),
        pytest.param(b"data: a\n\ndata: b\n\nid: 1", [b"a", b"b"], id="another field at the end"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_events_are_read_as_the_standard_says(text: bytes, events: list[bytes]) -> None:
    assert read([text]) == events


def test_an_event_goes_on_in_the_next_block() -> None:
    assert read([b"data: a\n", b"data: b\n\ndata: c\n\n"]) == [b"a\nb", b"c"]


lines = st.sampled_from(
    [b"data: a", b"data: ", b"data:\xc3\xa4 \xe2\x82\xac", b": c", b"event: e", b"", b"", b"x", b"\xff"]
)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
texts = st.lists(st.tuples(lines, ends)).map(lambda pairs: b"".join(line + end for line, end in pairs))
plain_texts = st.lists(st.tuples(lines, st.sampled_from([b"\n\n", b"\n\n", b"\n"]))).map(
    lambda pairs: b"".join(line + end for line, end in pairs)
)


@given(text=texts | plain_texts, data=st.data())
def test_events_do_not_depend_on_where_the_bytes_are_split(text: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text))).map(sorted))
    blocks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(blocks) == read([text]) == line_by_line(text)


def line_by_line(text: bytes) -> list[bytes]:
    """The events of a whole text, as the standard says it; with the last, where its blank line lacks."""
    events: list[bytes] = []
    data: list[bytes] = []
    for line in [*text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), b""]:
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif not line and data:
            events.append(b"\n".join(data))
            data = []
    return events


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([b"data: " + b"a" * LIMIT * 2], id="a line without an end"),
        pytest.param([b"data: " + b"a" * LIMIT * 2 + b"\n\n"], id="a line that ends too late"),
        pytest.param([b"data: a\n\ndata: b", *[b"b" * 10] * LIMIT], id="an event behind another"),
        pytest.param([b"data: aaaaaaaaaa\n"] * LIMIT, id="lines without an end"),
        pytest.param([b"a" * 10] * LIMIT, id="a line in small blocks"),
        pytest.param([b"data:\n"] * LIMIT, id="empty lines without an end"),
    ],
)
def test_an_endless_event_is_refused(blocks: list[bytes]) -> None:
    with pytest.raises(EventTooLong):
        read(blocks)
