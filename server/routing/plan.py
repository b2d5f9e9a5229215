"""Who is asked for a request, and in what order: from the names in it to a list of candidates."""

import random
from collections.abc import Callable, Sequence
from itertools import groupby

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from server import operations
from server.capabilities import CHAT_WORDS, FIELDS, Needs
from server.errors import Attempt, Cause, InterferenceError, InvalidRequest
from server.operations import CHAT, IMAGES, Operation, Request
from server.routes import Condition, Hedging, Route, RouteTarget
from server.routing import choosing, outcome, refusals
from server.routing.choosing import Draw, Figures
from server.routing.refusals import Asked
from server.routing.roster import Provider, Roster


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A provider to try, and the model to ask of it by its public name. The rest is what its route says."""

    provider: Provider
    model: str
    weight: float = 1.0
    when: Condition | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """The provider's id, and the model by the provider's own name."""
        return self.provider.id, self.provider.own(self.model)


class Plan(msgspec.Struct, frozen=True, gc=False):
    """Whom to try in order, and who was passed over without being called, with the reason.

    `hedge` says whether the second may be started before the first has failed.
    """

    model: str
    candidates: tuple[Candidate, ...]
    passed_over: tuple[Attempt, ...]
    hedge: Hedging | None = None


def make(request: Request, roster: Roster, draw: Draw = random.random, *, stream: bool = False) -> Plan:
    """Plans a request. Raises `NotFound` for unknown names, and what fits where nobody is left.

    Providers named are asked in that order. None named: the targets of the route of this name, which goes
    before a model of the same name; else the provider whose id the model begins with; else everybody who
    has the model.
    """
    operation = operations.of(request)
    given = request.providers
    named = [roster.named(name) for name in dict.fromkeys(given) if name] if given else []
    model = request.model
    route = roster.routes.of(model)
    if not named and not _targets(route) and (prefixed := _prefixed(model, roster)) is not None:
        provider, model = prefixed
        named, route = [provider], roster.routes.of(model)
    if not model and operation is not IMAGES:
        raise InvalidRequest("model is required.", reason="model_missing", param="model")
    candidates: list[Candidate] = []
    passed_over: list[Attempt] = []
    asked, needs = refusals.asked(request, operation), Needs(request, stream=stream)
    for candidate in _options(model, route, named, roster, operation):
        fault = _fault(candidate, asked)
        if fault is None and candidate.provider.is_choosy:
            fault = _lack(candidate, needs)
        if fault is None:
            candidates.append(candidate)
        else:
            passed_over.append(fault)
    if not candidates:
        raise _nobody(model, route, asked, needs, passed_over, roster)
    if not named:
        candidates = _ordered(candidates, request, route, roster, draw)
        if operation is CHAT and (_targets(route) or not roster.alike(model)):
            candidates = _able_first(candidates, needs)
    return Plan(model, tuple(candidates), tuple(passed_over), _hedging(request, route))


def _hedging(request: Request, route: Route | None) -> Hedging | None:
    """When a second candidate is started, too: as the request says, or else its route."""
    if not request.HasField("hedge"):
        return None if route is None else route.hedge
    return Hedging(request.hedge.delay if request.hedge.HasField("delay") else None)


def _ordered(
    candidates: list[Candidate], request: Request, route: Route | None, roster: Roster, draw: Draw
) -> list[Candidate]:
    """The candidates as the route has them, or by priority, and among equals by the caller's key."""
    if len(candidates) < 2:
        return candidates
    key = _key(request) if route is None or route.sticky else ""
    strategy = "ordered" if route is None else route.strategy

    def look(candidate: Candidate) -> Figures:
        return choosing.observed(roster.board, candidate)

    if _targets(route):
        return _healthy_first(choosing.ordered(candidates, strategy, key, look, draw), look)
    if strategy == "ordered" and not key:
        return candidates
    among_equals = "weighted" if strategy == "ordered" else strategy  # a key decides, not a draw
    ordered: list[Candidate] = []
    for _, equals in groupby(candidates, lambda candidate: candidate.provider.row.priority):
        ordered += choosing.ordered(list(equals), among_equals, key, look, draw)
    return ordered


def _healthy_first(candidates: list[Candidate], look: Callable[[Candidate], Figures]) -> list[Candidate]:
    """Those that break a condition of theirs are the last resort, in the same order."""
    return sorted(candidates, key=lambda c: c.when is not None and not choosing.meets(c.when, look(c)))


def _able_first(candidates: list[Candidate], needs: Needs) -> list[Candidate]:
    """Those that are not known to have all that is needed come after those that are, in the same order."""
    if len(candidates) < 2:
        return candidates
    return sorted(candidates, key=lambda c: not needs.fits(c.provider.known(c.model)))


def _key(request: Request) -> str:
    """What keeps a caller to a provider, whose prompt cache pays only then; empty where nothing does."""
    if isinstance(request, CreateCompletionRequest) and request.prompt_cache_key:
        return request.prompt_cache_key
    return request.user


def _nobody(
    model: str,
    route: Route | None,
    asked: Asked,
    needs: Needs,
    passed_over: list[Attempt],
    roster: Roster,
) -> InterferenceError:
    """Nobody is left. The error says where the model is, or who takes the parameters."""
    operation = asked.operation
    causes = [attempt.cause for attempt in passed_over]
    if "parameter_unsupported" not in causes or "not_enabled" in causes:
        return outcome.nobody(model, passed_over, roster.suggest(model, operation))
    param = passed_over[causes.index("parameter_unsupported")].param or ""
    able = [provider for provider in roster.enabled if provider.models(operation)]
    passed = {attempt.provider for attempt in passed_over if attempt.cause == "parameter_unsupported"}
    takers = [
        one
        for one in able
        if one.id not in passed
        and refusals.takes(one.row, asked)
        and any(_can(one, name, operation, needs) for name in one.models(operation))
    ]
    names = {target.model for target in _targets(route)} or {model}
    having = [p.id for p in takers if any(_can(p, name, operation, needs) for name in names)]
    others = [] if having else [provider.id for provider in takers]
    return outcome.nobody_takes(model, param, passed_over, having, others)


def _targets(route: Route | None) -> Sequence[RouteTarget]:
    return () if route is None else route.targets


def _prefixed(model: str, roster: Roster) -> tuple[Provider, str] | None:
    """`Groq/llama-3.3-70b` names a provider where the part before the slash is exactly its id."""
    head, slash, rest = model.partition("/")
    provider = roster.get(head) if slash and rest else None
    return None if provider is None else (provider, rest)


def _options(
    model: str, route: Route | None, named: Sequence[Provider], roster: Roster, operation: Operation
) -> list[Candidate]:
    """Everybody who comes into question, in the order in which they stand somewhere."""
    targets = _targets(route)
    if targets and named:
        return [
            _candidate(provider, name, operation)
            for provider in named
            for name in [t.model for t in targets if t.provider == provider.id] or [model]
        ]
    if targets:
        return [_candidate(roster.named(t.provider), t.model, operation, t) for t in targets]
    asked = named or _anyone(model, roster, operation)
    return [_candidate(provider, model, operation) for provider in asked]


def _candidate(
    provider: Provider, model: str, operation: Operation, target: RouteTarget | None = None
) -> Candidate:
    """The provider with the model that it is asked for: its default where none is named."""
    asked = provider.public(model) or next(iter(provider.models(operation)), "")
    return (
        Candidate(provider, asked)
        if target is None
        else Candidate(provider, asked, target.weight, target.when)
    )


def _anyone(model: str, roster: Roster, operation: Operation) -> Sequence[Provider]:
    """Everybody who may be asked and is known to have the model, by priority."""
    if model:
        return roster.doing(operation, model)
    return [provider for provider in roster.enabled if provider.models(operation)]


def _can(provider: Provider, model: str, operation: Operation, needs: Needs) -> bool:
    """Whether a provider is known to have a model, and that to have all that is needed."""
    if operation is not CHAT:
        return provider.does(operation, model)
    return provider.does(operation, model) and needs.words <= provider.known(model).able


def _fault(candidate: Candidate, asked: Asked) -> Attempt | None:
    """Why a provider cannot take the request."""
    provider, model, operation = candidate.provider, candidate.model, asked.operation
    if provider.missing:
        return _passed(candidate, "not_enabled", f"not enabled ({provider.missing})")
    if not model or not provider.may_have(model, operation):
        return _passed(candidate, "no_such_model", f"no {operation.noun} {model}".rstrip())
    if refused := refusals.of(provider.row, asked):
        told = f"does not take {', '.join(map(str, refused))}"
        return _passed(candidate, "parameter_unsupported", told, refused[0].param)
    return None


def _lack(candidate: Candidate, needs: Needs) -> Attempt | None:
    """Why a model cannot do what is asked of it, where that is known."""
    provider, model = candidate.provider, candidate.model
    if not (lacking := needs.words & provider.known(model).lacks):
        return None
    words = [word for word in CHAT_WORDS if word in lacking]
    told = f"{model} has no {', '.join(words)}"
    return _passed(candidate, "parameter_unsupported", told, FIELDS[words[0]])


def _passed(candidate: Candidate, cause: Cause, told: str, param: str | None = None) -> Attempt:
    return Attempt(candidate.provider.id, candidate.model, cause, told, param=param)
