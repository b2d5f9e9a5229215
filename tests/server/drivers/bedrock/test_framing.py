"""AWS's event streams: any split of the bytes, and bytes that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.drivers.bedrock.framing import EventStream
from server.errors import AttemptFailed
from server.sse import EventTooLong
from tests.conformance.bedrock_speaker import event, frame

LIMIT = 2**20
EVENTS = [
    event("messageStart", role="assistant"),
    event("contentBlockDelta", delta={"text": "é\n"}),
    event("x"),
]
READ = [
    b'messageStart\n{"role": "assistant", "p": "abcdefgh"}',
    b'contentBlockDelta\n{"delta": {"text": "\\u00e9\\n"}, "p": "abcdefgh"}',
    b'x\n{"p": "abcdefgh"}',
]


def read(*blocks: bytes, limit: int = LIMIT) -> list[bytes]:
    framing = EventStream(limit)
    return [*(one for block in blocks for one in framing.feed(block)), *framing.close()]


@given(st.lists(st.integers(0, sum(map(len, EVENTS))), max_size=8))
def test_any_split_of_the_bytes_gives_the_same_events(cuts: list[int]) -> None:
    data, edges = b"".join(EVENTS), sorted({0, *cuts})
    ends = [*edges[1:], len(data)]
    assert read(*(data[start:end] for start, end in zip(edges, ends, strict=True))) == READ


def test_exceptions_and_errors_are_told_apart_from_events() -> None:
    exception = {":message-type": "exception", ":exception-type": "throttlingException"}
    error = {":message-type": "error", ":error-code": "InternalError", ":error-message": "Bad."}
    assert read(frame(exception, b"{}"), frame(error, b"")) == [
        b"!throttlingException\n{}",
        b'!InternalError\n{"message":"Bad."}',
    ]


def test_what_came_before_a_fault_is_given_before_it() -> None:
    framing = EventStream(LIMIT)
    assert framing.feed(EVENTS[0] + b"\0" * 20) == READ[:1]
    with pytest.raises(AttemptFailed):
        framing.feed(b"")
    with pytest.raises(AttemptFailed):
        list(framing.close())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\0" * 16, id="no checksum"),
        pytest.param(EVENTS[0][:-1] + b"\0", id="another checksum of it all"),
        pytest.param(EVENTS[0][:20] + b"!" + EVENTS[0][21:], id="another header"),
        pytest.param(EVENTS[0][:-9], id="the end is missing"),
        pytest.param(EVENTS[0][:7], id="of the prelude, too"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="something else"),
    ],
)
def test_what_is_no_frame_is_broken(data: bytes) -> None:
    with pytest.raises(AttemptFailed) as raised:
        read(data)
    assert raised.value.cause == "broken_answer"


def test_an_event_is_of_bounded_length_before_it_is_there() -> None:
    long = event("x", a="a" * 2000)
    with pytest.raises(EventTooLong):
        read(long[:12], limit=1000)
    assert len(read(long, limit=3000)) == 1


def test_a_large_event_may_come_in_many_pieces() -> None:
    large = event("x", a="a" * (8 * 2**20))
    assert len(read(*(large[at : at + 1024] for at in range(0, len(large), 1024)), limit=16 * 2**20)) == 1


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda data: EVENTS[0] + data))
def test_any_bytes_are_events_or_broken(data: bytes) -> None:
    try:
        assert all(b"\n" in one for one in read(data))
    except AttemptFailed as error:
        assert error.cause == "broken_answer"  # noqa: PT017 - either will do
    except EventTooLong:
        pass


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3), st.binary(max_size=20))
def test_any_headers_are_read(headers: dict[str, str], payload: bytes) -> None:
    headers = {name: value for name, value in headers.items() if name}
    assert read(frame(headers, payload))[0].endswith(payload)
