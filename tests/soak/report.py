"""What a soak has found, as text for people."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.soak import says
from tests.soak.asks import WAYS
from tests.soak.load import Tally
from tests.soak.run import Found

_SHOWN = 10  # lines of the log
_MOST = 3000  # characters of what came


def text(found: Found) -> str:
    """The whole report: tables, then what was wrong, then a verdict."""
    tally = found.tally
    parts = (
        _outcomes(tally),
        _latencies(tally),
        _counted("answers upstream, by fault", found.drawn),
        _counted("attempts, by cause", tally.causes),
        _checks(found),
        _wrong(found),
    )
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _table(titles: Sequence[object], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A table, its first column wide."""
    for first, *others in (titles, *rows):
        yield f"{first!s:<36}" + "".join(f"{cell!s:>12}" for cell in others)


def _outcomes(tally: Tally) -> Iterator[str]:
    rate = tally.requests / tally.elapsed if tally.elapsed else 0
    yield f"{tally.requests} requests in {tally.elapsed:.1f} s, {rate:.0f}/s"
    names = sorted({outcome for outcome, _ in tally.outcomes})
    rows = [[name, *(tally.outcomes[name, way] for way in WAYS)] for name in names]
    yield from _table(("", *WAYS), rows)


def _latencies(tally: Tally) -> Iterator[str]:
    rows = []
    for name, seconds in sorted(tally.latencies.items()):
        ordered = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else seconds * 99
        rows.append([name, len(seconds), f"{1e3 * ordered[49]:.1f}", f"{1e3 * ordered[98]:.1f}"])
    yield from _table(("", "requests", "p50 ms", "p99 ms"), rows)


def _counted(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    rows = sorted(counts.items(), key=lambda each: each[1], reverse=True)
    yield from _table((title, sum(counts.values())), rows)


def _checks(found: Found) -> Iterator[str]:
    rows = [
        [
            check.what,
            *(f"{value:.4g}" for value in (check.start, check.end, check.most)),
            _word(check.passed),
        ]
        for check in found.checks
    ]
    yield from _table(("", "start", "end", "at most", ""), rows)


def _word(passed: bool) -> str:
    return "ok" if passed else "TOO MUCH"


def _wrong(found: Found) -> Iterator[str]:
    for illegal in found.tally.illegal:
        came = says.without_padding(str(illegal.came))[:_MOST]
        yield f"ILLEGAL: {illegal.reason}\n  {illegal.ask}\n  {came}\n  met {illegal.met}"
        yield from (f"  {line}" for line in illegal.log)
    for line in found.log[:_SHOWN]:
        yield f"LOG: {line}"
    if found.passed:
        yield "All is as it must be."
    else:
        high = sum(not check.passed for check in found.checks)
        wrong = f"{found.tally.failures} illegal ends, {high} figures too high, {len(found.log)} log lines"
        yield f"FAILED: {wrong}"
