"""What must hold of a call in any state of its providers: who was asked, what was read, how it ended."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf

from tests.model import reference
from tests.model.caller import Outcome
from tests.model.circuits import Span
from tests.model.reference import Plan, Told
from tests.model.scripts import Ask, Play
from tests.model.upstream import Seen

_EARLY = 0.05  # seconds before a deadline at which a call may end for it
_CLOSES = 0.1  # seconds in which an end is seen by the other side
_CLOCKS = 0.005  # seconds by which two clocks may differ
_HEDGED = 0.15  # seconds after the delay by which a second provider is asked
LATE = 1.0  # seconds that a busy machine may take beside a deadline
_KEY = "key-of-{}-0123456789"


def key(provider: str) -> str:
    """The key of a provider."""
    return _KEY.format(provider)


@dataclass(frozen=True)
class Call:
    """A call with what its caller saw, and the requests that the providers saw."""

    ask: Ask
    plan: Plan
    outcome: Outcome
    seen: Sequence[Seen]

    @property
    def raced(self) -> bool:
        """Whether two providers may have been asked at a time."""
        return self.ask.hedge is not None

    @property
    def outwaited(self) -> bool:
        """Whether the deadline ended it."""
        return self.outcome.reason == "deadline_passed"

    @property
    def left(self) -> bool:
        """Whether its caller left."""
        return not self.outcome.code

    @property
    def attempts(self) -> list[Told]:
        """The attempts told, without those at providers that have no key."""
        return [one for one in self.outcome.attempts or () if one.provider not in self.plan.keyless]

    @property
    def span(self) -> Span:
        """When it was."""
        return self.outcome.span

    def play(self, provider: str, number: int) -> Play:
        """What a provider does with the request of this number."""
        plays = self.ask.plays[provider]
        return plays[min(number, len(plays) - 1)]

    def requests(self, provider: str) -> list[Seen]:
        """The requests that a provider saw."""
        return [seen for seen in self.seen if seen.provider == provider]


def once(seen: Sequence[Seen]) -> list[Seen]:
    """Without what was sent once more, because it had met the end of a kept connection."""
    kept: list[Seen] = []
    for number, one in enumerate(seen):
        later = [other.provider for other in seen[number + 1 :]]
        if not (one.resent and one.provider in later):
            kept.append(one)
    return kept


def check_requests(ask: Ask, seen: Iterable[Seen]) -> None:
    """Each provider was shown its own key, and told of the deadline."""
    for one in seen:
        assert one.authorization == f"Bearer {key(one.provider)}"
        assert (one.timeout is None) == (ask.deadline is None)
        assert one.timeout is None or (ask.deadline and 0 < one.timeout <= ask.deadline[1])


def check_time(ask: Ask, outcome: Outcome) -> None:
    """It ends by the deadline, and for the deadline not before it."""
    if ask.deadline is None:
        assert outcome.reason != "deadline_passed"
        return
    took, deadline = outcome.span.end - outcome.span.start, ask.deadline[1]
    assert took <= deadline + LATE
    if outcome.reason == "deadline_passed":
        assert outcome.code == "DEADLINE_EXCEEDED"
        assert took >= deadline - _EARLY


def check_refused(ask: Ask, plan: Plan | None, outcome: Outcome) -> None:
    """Nobody could be asked."""
    if ask.leave is not None and not outcome.code:
        return
    if plan is None:
        expected = ("NOT_FOUND", "provider_not_found")
    elif not plan.keyless:
        expected = ("NOT_FOUND", "model_not_found")
    else:
        expected = ("UNAVAILABLE", "no_provider_enabled")
        assert [(told.provider, told.cause) for told in outcome.attempts or ()] == [
            (name, "not_enabled") for name in plan.keyless
        ]
    assert (outcome.code, outcome.reason) == expected


def check_text(call: Call) -> None:
    """All that the caller read is one provider's answer to one request."""
    outcome = call.outcome
    if not outcome.pieces:
        assert outcome.code != "OK"
        return
    (provider,) = outcome.providers
    answer = call.requests(provider)[-1].pieces
    read = "".join(outcome.pieces)
    assert "".join(answer).startswith(read)
    assert outcome.finished == (read == "".join(answer)) or call.left
    assert outcome.code != "OK" or outcome.finished


def runs(call: Call) -> list[list[Told]]:
    """The attempts told, by provider; those who have no key are told of once, before the others."""
    keyless = [told for told in call.outcome.attempts or () if told.provider in call.plan.keyless]
    passed_over = [(told.provider, told.cause) for told in keyless]
    expected = [(name, "not_enabled") for name in call.plan.keyless]
    assert passed_over == expected, f"those who have no key are not all in {call.outcome.attempts}"
    told = list(call.outcome.attempts or ())
    assert told[: len(keyless)] == keyless, f"those who have no key are not the first of {told}"
    others = call.attempts
    if call.raced:
        names = dict.fromkeys(told.provider for told in others)
        return [[told for told in others if told.provider == name] for name in names]
    return [list(run) for _, run in groupby(others, lambda told: told.provider)]


def check_order(call: Call, runs: Sequence[Sequence[Told]]) -> None:
    """Everybody was asked in the order of the plan, and nobody else; two at a time only where raced."""
    names = [run[0].provider for run in runs]
    planned = list(call.plan.asked[: len(names)])
    if call.raced:
        names.sort(key=call.plan.asked.index)
    assert names == planned, f"{names} were asked, planned were {planned}"
    seen = [name for name, _ in groupby(seen.provider for seen in call.seen)]
    assert call.raced or seen == [name for name in names if name in seen]
    assert set(seen) <= set(names), f"{seen} were asked, and {names} told"
    if call.ask.hedge is not None and not call.outcome.pieces and len(runs) == 1 < len(call.plan.asked):
        assert all((one.seconds or 0) < call.ask.hedge + _HEDGED for one in runs[0])


def check_at_a_time(call: Call) -> None:
    """One provider was asked at a time; or two, the second not before the delay."""
    for number, one in enumerate(call.seen):
        before = call.seen[:number]
        running = [other for other in before if other.ended is None or other.ended > one.began + _CLOSES]
        assert len(running) <= call.raced, f"{one} was asked while {running} were"
        if running and call.ask.hedge is not None:
            assert one.began >= call.span.start + call.ask.hedge - _CLOCKS, f"{one} was asked too soon"


def check_race(call: Call) -> None:
    """The second is asked while the first says nothing, and who loses is asked no more."""
    if call.ask.hedge is None or not call.seen:
        return
    first, *others = call.seen
    following = call.plan.asked[call.plan.asked.index(first.provider) + 1 :][:1]
    second = next((other for other in others if (other.provider,) == following), None)
    if second is not None and first.ended is not None:
        long = first.ended > call.span.start + call.ask.hedge + _HEDGED
        assert not long or second.began < first.ended - _CLOSES / 2, f"{second} was asked too late"
    if call.outcome.code == "OK":
        (provider,) = call.outcome.providers
        end = call.requests(provider)[-1].ended
        late = [one for one in call.seen if one.ended is None or end is None or one.ended > end + _CLOSES]
        assert not late, f"{late} were asked when the answer was there"


def check_end(call: Call, runs: Sequence[Sequence[Told]]) -> None:
    """It ended as its last attempt says."""
    outcome, told = call.outcome, call.attempts
    last = next((one for one in told if one.cause == "refused" and call.raced), told[-1])
    if outcome.served:
        assert not last.cause
        assert {last.provider} == outcome.providers or not outcome.providers
    assert all(one.cause for one in told if not (outcome.served and one is last))
    if call.left or call.outwaited or outcome.code == "OK":
        assert call.left or call.outwaited or outcome.served
        return
    if last.cause == "refused":
        assert outcome.code == "INVALID_ARGUMENT"
        assert not outcome.pieces
    elif outcome.pieces:
        assert (outcome.code, outcome.reason) == reference.broken(last.cause)
    else:
        assert len(runs) == len(call.plan.asked), f"not everybody was asked: {told}"
        assert (outcome.code, outcome.reason) == reference.all_failed(told)
        assert not any(one.cause == "refused" for one in told)


def left(call: Call, before: float) -> tuple[float, float]:
    """Seconds until the deadline: at least, and at most."""
    if call.ask.deadline is None:
        return inf, inf
    seconds = call.ask.deadline[1]
    return seconds - (call.span.end - call.span.start) - _EARLY, seconds - before
