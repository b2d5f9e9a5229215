"""Lines reach their reader in order and whole; one that stands still holds nobody up."""

import json
import os
import select
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from server.services.lines import Lines

LATE = 10.0  # seconds after which a test fails


@dataclass(frozen=True)
class Pipe:
    """Both ends of a pipe."""

    reader: int
    writer: int

    def read(self, size: int = 2**16) -> bytes:
        """What has arrived, as soon as there is something."""
        ready, _, _ = select.select([self.reader], [], [], LATE)
        assert ready, "nothing arrived"
        return os.read(self.reader, size)

    def read_until(self, end: bytes) -> bytes:
        """All up to and with these words."""
        read = b""
        while end not in read:
            read += self.read()
        return read


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Closes what the test has left open."""
    pipe = Pipe(*os.pipe())
    yield pipe
    for end in (pipe.reader, pipe.writer):
        with suppress(OSError):
            os.close(end)


def test_lines_are_written_in_order_while_more_may_come(pipe: Pipe) -> None:
    lines = Lines(pipe.writer)
    expected = b"".join(b"line %d\n" % number for number in range(1000))
    for number in range(1000):
        lines.add(b"line %d\n" % number)
    assert pipe.read_until(b"line 999\n") == expected
    lines.close()


def test_the_last_lines_are_written_at_the_end(pipe: Pipe) -> None:
    lines = Lines(pipe.writer)
    lines.add(b"one\n")
    lines.add(b"two\n")
    lines.close(LATE)
    os.close(pipe.writer)
    assert pipe.read() == b"one\ntwo\n"
    assert os.read(pipe.reader, 1) == b""


def test_the_end_of_lines_ends_its_thread(pipe: Pipe) -> None:
    before = threading.active_count()
    lines = Lines(pipe.writer)
    assert threading.active_count() == before + 1
    lines.close(LATE)
    assert threading.active_count() == before


def test_who_adds_does_not_wait_for_a_reader_that_stands_still_and_it_hears_what_it_missed(
    pipe: Pipe,
) -> None:
    lines = Lines(pipe.writer, held=2**16)

    def add() -> None:
        for _ in range(10_000):  # a pipe holds 64 KiB or so, and so do the lines
            lines.add(b"x" * 99 + b"\n")

    adding = threading.Thread(target=add, daemon=True)
    adding.start()
    adding.join(LATE)
    assert not adding.is_alive()
    read, written, dropped = b"", 0, 0
    while written + dropped < 10_000:
        *whole, read = (read + pipe.read()).split(b"\n")
        written += whole.count(b"x" * 99)
        told = [json.loads(line) for line in whole if line != b"x" * 99]
        assert all(one["event"] == "lines_dropped" for one in told)
        dropped += sum(one["lines"] for one in told)
    assert (written + dropped, dropped > 0) == (10_000, True)
    lines.add(b"and on\n")
    assert pipe.read_until(b"\n") == b"and on\n"
    lines.close()


def test_a_line_larger_than_all_that_is_held_is_dropped_and_told(pipe: Pipe) -> None:
    lines = Lines(pipe.writer, held=10)
    lines.add(b"a line that is too long\n")
    assert json.loads(pipe.read_until(b"}\n"))["lines"] == 1
    lines.close()


def test_lines_that_fit_into_one_piece_are_never_torn(pipe: Pipe) -> None:
    """Two writers on one pipe, as the workers of a server are."""
    both = [Lines(pipe.writer), Lines(pipe.writer)]
    for number in range(500):
        for name, lines in zip((b"a", b"b"), both, strict=True):
            lines.add(name * (number % 400 + 1) + b"\n")
    read = b""
    while read.count(b"\n") < 1000:
        read += pipe.read()
    assert all(len(set(line)) == 1 for line in read.splitlines())
    for lines in both:
        lines.close()


def test_a_descriptor_that_does_not_want_to_wait_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    lines = Lines(pipe.writer)
    lines.add(b"x" * 2**20 + b"\n")
    assert len(pipe.read_until(b"\n")) == 2**20 + 1
    lines.close()


def test_the_end_waits_no_longer_than_it_may(pipe: Pipe) -> None:
    lines = Lines(pipe.writer)
    lines.add(b"x" * 2**20 + b"\n")
    closing = threading.Thread(target=lines.close, args=(0.05,))
    closing.start()
    closing.join(LATE)
    assert not closing.is_alive()
    pipe.read_until(b"\n")  # lets the thread of the lines go


def test_where_no_reader_is_left_lines_are_lost_and_nothing_else(pipe: Pipe) -> None:
    lines = Lines(pipe.writer)
    os.close(pipe.reader)
    lines.add(b"one\n")
    lines.close(LATE)
    assert not lines._thread.is_alive()
