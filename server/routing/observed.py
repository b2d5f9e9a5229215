"""What was seen of a provider's model of late: attempts and failures over a window, and latencies."""

from collections import deque
from itertools import islice

_SLICES = 10  # of the window, each counted apart
_KEPT = 128  # latencies
_RECENT = 16  # of them
_FRESH = 4  # times the window that a latency counts


class Latencies:
    """The latest times to first content, in seconds."""

    def __init__(self) -> None:
        self._kept: deque[float] = deque(maxlen=_KEPT)
        self._sorted: list[float] | None = None

    def add(self, seconds: float) -> None:
        """Takes the next."""
        self._kept.append(seconds)
        self._sorted = None

    def clear(self) -> None:
        """Forgets all."""
        self._kept.clear()
        self._sorted = None

    def usual(self, least: int) -> float | None:
        """The 95th percentile, where at least so many are known."""
        return self.percentile(0.95) if len(self._kept) >= least else None

    def recent_median(self) -> float | None:
        """The median of the very latest."""
        latest = sorted(islice(reversed(self._kept), _RECENT))
        return latest[len(latest) // 2] if latest else None

    def percentile(self, share: float) -> float | None:
        """The value that this share (0 to 1) of them does not exceed; None where there is none."""
        if not self._kept:
            return None
        if self._sorted is None:
            self._sorted = sorted(self._kept)
        return self._sorted[min(int(share * len(self._sorted)), len(self._sorted) - 1)]


class Observed:
    """Counts over a window of so many seconds that moves in steps, and latencies: of the first content of
    streams, and of whole answers.
    """

    def __init__(self, window: float) -> None:
        self._step = window / _SLICES
        self._slices: deque[list[int]] = deque()  # number of the slice, attempts, failures
        self._latest = 0.0
        self._keep = _FRESH * window
        self.consecutive = 0  # failures, one after the other, up to now
        self.first_content = Latencies()
        self.whole = Latencies()

    def median(self) -> float | None:
        """The latency of late: of streams, or where there are none of whole answers."""
        found = self.first_content.recent_median()
        return self.whole.recent_median() if found is None else found

    def succeeded(self, now: float) -> None:
        """An attempt went well."""
        self._slice(now)[1] += 1
        self.consecutive = 0

    def failed(self, now: float) -> None:
        """An attempt failed."""
        counts = self._slice(now)
        counts[1] += 1
        counts[2] += 1
        self.consecutive += 1

    def counts(self, now: float) -> tuple[int, int]:
        """Attempts and failures within the window."""
        oldest = int(now / self._step) - _SLICES
        while self._slices and self._slices[0][0] <= oldest:
            self._slices.popleft()
        return sum(counts[1] for counts in self._slices), sum(counts[2] for counts in self._slices)

    def refresh(self, now: float) -> None:
        """Forgets latencies where nothing was seen for long: they say nothing of today."""
        if self._latest and now - self._latest > self._keep:
            self.first_content.clear()
            self.whole.clear()

    def forget_failures(self) -> None:
        """Begins anew, but for the latencies."""
        self._slices.clear()
        self.consecutive = 0

    def _slice(self, now: float) -> list[int]:
        self._latest = now
        number = int(now / self._step)
        if not self._slices or self._slices[-1][0] != number:
            self.counts(now)
            self._slices.append([number, 0, 0])
        return self._slices[-1]
