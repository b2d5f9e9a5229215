"""Judges each call by the reference, and remembers in which states the breakers may be."""

from collections.abc import Sequence

from interference.v1.providers_pb2 import ProviderDetails
from tests.model import checks, reference
from tests.model.caller import Outcome
from tests.model.checks import Call
from tests.model.circuits import Circuit, Health, Whole
from tests.model.reference import Told
from tests.model.scripts import TOTAL, Ask, Play, Provider
from tests.model.upstream import Seen


class Judge:
    """Knows the providers of a script. Raises `AssertionError` for what must not be."""

    def __init__(self, fleet: Sequence[Provider]) -> None:
        self._fleet = fleet
        self._known = {provider.id: provider for provider in fleet}
        self._own: dict[tuple[str, str], frozenset[Circuit]] = {}
        self._whole: dict[str, frozenset[Whole]] = {}

    def call(self, ask: Ask, outcome: Outcome, seen: Sequence[Seen]) -> None:
        """Judges a call."""
        checks.check_requests(ask, seen)
        checks.check_time(ask, outcome)
        plan = reference.plan(ask, self._fleet)
        if plan is None or not plan.asked:
            assert not seen
            checks.check_refused(ask, plan, outcome)
            return
        call = Call(ask, plan, outcome, checks.once(seen))
        checks.check_text(call)
        checks.check_at_a_time(call)
        checks.check_race(call)
        if outcome.attempts is None:
            self._untold(call)
            return
        runs = checks.runs(call)
        checks.check_order(call, runs)
        for number, run in enumerate(runs):
            self._run(call, run, sum(told.seconds or 0 for before in runs[:number] for told in before))
        checks.check_end(call, runs)

    def details(self, told: ProviderDetails) -> None:
        """Judges what is told of a provider's health while nothing is asked of it."""
        for health in told.health:
            if health.model:
                known = self._health(told.id, health.model).told(health.state, health.consecutive_failures)
                self._learn(told.id, health.model, known, f"{health.model} of {told.id}: {health}")

    def _health(self, provider: str, model: str) -> Health:
        fresh = Health()
        return Health(self._own.get((provider, model), fresh.own), self._whole.get(provider, fresh.whole))

    def _learn(self, provider: str, model: str, health: Health, what: object) -> None:
        before = self._health(provider, model)
        assert health.own, f"{what}, but its breaker was one of {before}"
        assert health.whole, f"{what}, but its breaker was one of {before}"
        self._own[provider, model], self._whole[provider] = health.own, health.whole

    def _run(self, call: Call, run: Sequence[Told], before: float) -> None:
        """Judges the attempts at one provider; those before it took so many seconds at least."""
        ask, provider = call.ask, self._known[run[0].provider]
        ends = call.raced or run[-1] is call.attempts[-1]
        asked = 0
        for tries, told in enumerate(run):
            play = call.play(provider.id, asked)
            before += told.seconds or 0
            ended = ends and told is run[-1]
            self._attempt(call, provider, play, told, ended=ended)
            asked += told.seconds is not None and told.cause != "connect_failed"
            soonest, latest = checks.left(call, before)
            last = provider.id == call.plan.asked[-1]
            may, must = reference.retried(ask, provider, play, told, tries, last, latest)
            must = must and reference.retried(ask, provider, play, told, tries, last, soonest)[1]
            if told is not run[-1]:
                assert may or call.raced, f"{provider.id} was asked again after {told}"
            elif not (call.raced or (ended and (call.outwaited or call.left))):
                assert not must, f"{provider.id} was not asked again after {told}"
        seen = len(call.requests(provider.id))
        unsent = run[-1].cause in ("timed_out", "cancelled")
        assert asked - unsent <= seen <= asked, f"{provider.id} saw {seen} requests, told are {run}"

    def _attempt(self, call: Call, provider: Provider, play: Play, told: Told, *, ended: bool) -> None:
        health, now = self._health(provider.id, call.ask.model), call.span
        if told.seconds is None and told.cause != "cancelled":
            passed = health.passed_over(told.cause, now)
            self._learn(provider.id, call.ask.model, passed, f"{told} without a call")
            return
        through = health.let_through(now)
        self._learn(provider.id, call.ask.model, through, f"{told} after a call")
        outwaited = ended and call.outwaited and told.cause in ("", "timed_out")
        if ended and (call.left or call.outwaited) and not told.cause:
            assert reference.commits(play, stream=call.ask.stream)
        elif outwaited:
            assert (told.seconds or 0) <= TOTAL + checks.LATE, f"{told} is beyond the limit of the provider"
        else:
            legal = reference.causes(call.ask, play, told, raced=call.raced)
            assert told.cause in legal, f"{told}, but {play} gives {legal}"
            if reference.committed(call.ask, play, told):
                assert ended, f"somebody else was asked after the content of {told}"
                assert call.outcome.providers == {provider.id}, f"the content of {told} was held back"
        after = through.after(*reference.effect(call.ask, told, play), provider, now)
        if outwaited or (ended and (call.left or call.outwaited)):
            ill = through.after(
                *reference.effect(call.ask, Told("", "connection_lost", 0), play), provider, now
            )
            after |= through | through.after("none", "", provider, now) | ill
        self._learn(provider.id, call.ask.model, after, told)

    def _untold(self, call: Call) -> None:
        """Judges a call of which nothing was told, because the caller had gone."""
        assert call.left or call.outwaited, f"no attempt was told of {call.outcome}"
        asked = list(dict.fromkeys(seen.provider for seen in call.seen))
        assert asked == [name for name in call.plan.asked if name in asked]
        for name in call.plan.asked:
            provider, reached = self._known[name], self._health(name, call.ask.model)
            requests = call.requests(name)
            assert len(requests) <= 1 + provider.times
            if requests:
                let = reached.let_through(call.span)
                assert let.own, f"{name} was asked, but its breaker was {reached}"
                assert let.whole, f"{name} was asked, but its breaker was {reached}"
            possible, plays = reached, 0
            for _ in range(1 + provider.times):
                play = call.play(name, plays)
                plays += play.end != "refuse"
                cause = reference.cause(play, stream=call.ask.stream)
                through = reached.let_through(call.span)
                if not through.possible:
                    break
                reached = through.after(
                    *reference.effect(call.ask, Told(name, cause, 0), play), provider, call.span
                )
                possible |= reached | through.after("none", "", provider, call.span)
            self._learn(name, call.ask.model, possible, "left")
