"""Lines on their way out of the process, to a reader that may stand still: who adds one never waits."""

import os
import select
import threading
from collections import deque
from datetime import UTC, datetime

import msgspec

# A write of at most so many bytes is one piece in a pipe that several workers write to:
# https://pubs.opengroup.org/onlinepubs/9799919799/functions/write.html
_PIECE = select.PIPE_BUF
_HELD = 4 * 2**20  # bytes of lines that wait for the reader
_GATHER = 0.05  # seconds in which more lines may join the first, so that they leave in one write
_LAST = 1.0  # seconds for what is left at the end


class Dropped(msgspec.Struct, frozen=True, tag_field="event", tag="lines_dropped"):
    """Stands in the log in place of lines that were too many for its reader."""

    lines: int
    time: str


class Lines:
    """Writes lines to a file descriptor in a thread of its own, until it is closed.

    Lines beyond `held` bytes are dropped until the others are written; then a line says how many.
    """

    def __init__(self, fd: int, held: int = _HELD) -> None:
        self._fd = fd
        self._left = held
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._lock = threading.Lock()
        self._some, self._closed = threading.Event(), threading.Event()
        # A daemon: a reader that stands still for ever must not keep the process.
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self._thread.start()

    def add(self, line: bytes) -> None:
        """Takes a line, which ends with a line feed."""
        with self._lock:
            if self._dropped or len(line) > self._left:
                self._dropped += 1
            else:
                self._left -= len(line)
                self._waiting.append(line)
        if not self._some.is_set():
            self._some.set()

    def close(self, wait: float = _LAST) -> None:
        """Ends, when all is written, or after so many seconds."""
        self._closed.set()
        self._some.set()
        self._thread.join(wait)

    def _run(self) -> None:
        ended = False
        while not ended:
            self._some.wait()
            self._closed.wait(_GATHER)
            self._some.clear()
            ended = self._closed.is_set()  # asked after `clear`, which may have cleared what `close` set
            while piece := self._next():
                self._write(piece)

    def _next(self) -> bytes:
        """As many whole lines as make one piece, and at least one, where there are any."""
        taken: list[bytes] = []
        size = 0
        with self._lock:
            while self._waiting and (not taken or size + len(self._waiting[0]) <= _PIECE):
                taken.append(self._waiting.popleft())
                size += len(taken[-1])
            self._left += size
            if not taken and self._dropped:
                taken.append(_dropped(self._dropped))
                self._dropped = 0
        return b"".join(taken)

    def _write(self, piece: bytes) -> None:
        """Waits for the reader. Where there is none any more, nobody is left to be told."""
        left = memoryview(piece)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # the descriptor is another's too, who does not want to wait
                select.select((), (self._fd,), ())
            except OSError:
                return


def _dropped(lines: int) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return msgspec.json.encode(Dropped(lines, now)) + b"\n"
