"""Who is asked for a request, and in what order: from the names in it to a list of candidates."""

from dataclasses import dataclass

from server import operations
from server.errors import Attempt, Cause, InterferenceError, InvalidRequest
from server.operations import IMAGES, Operation, Request
from server.routing import outcome, refusals
from server.routing.roster import Provider, Roster


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider to try, and the model to ask of it by its public name."""

    provider: Provider
    model: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom to try in order, and who was passed over without being called, with the reason."""

    model: str
    candidates: tuple[Candidate, ...]
    passed_over: tuple[Attempt, ...]


def make(request: Request, roster: Roster) -> Plan:
    """Plans a request. Raises `NotFound` for unknown names, and what fits where nobody is left."""
    operation = operations.of(request)
    providers = [roster.named(name) for name in dict.fromkeys(request.providers) if name]
    model = request.model
    if not providers and (prefixed := _prefixed(model, roster)) is not None:
        provider, model = prefixed
        providers = [provider]
    if not model and operation is not IMAGES:
        raise InvalidRequest("model is required.", reason="model_missing", param="model")
    candidates, passed_over = [], []
    for provider in providers or _anyone(model, roster, operation):
        asked = _asked(model, provider, operation)
        fault = _fault(provider, asked, request, operation)
        if fault is None:
            candidates.append(Candidate(provider, asked))
        else:
            passed_over.append(Attempt(provider.id, asked, *fault))
    if not candidates:
        raise _nobody(model, request, passed_over, roster)
    return Plan(model, tuple(candidates), tuple(passed_over))


def _nobody(model: str, request: Request, passed_over: list[Attempt], roster: Roster) -> InterferenceError:
    """Nobody is left. The error says where the model is, or who takes the parameters."""
    operation = operations.of(request)
    causes = [attempt.cause for attempt in passed_over]
    if "parameter_unsupported" not in causes or "not_enabled" in causes:
        return outcome.nobody(model, passed_over, roster.suggest(model, operation))
    picky = roster.named(passed_over[causes.index("parameter_unsupported")].provider)
    param = refusals.of(picky.row, request, operation)[0].param
    able = [provider for provider in roster.enabled if provider.models(operation)]
    takers = [provider for provider in able if refusals.takes(provider.row, request, operation)]
    having = [provider.id for provider in takers if provider.does(operation, model)]
    others = [] if having else [provider.id for provider in takers]
    return outcome.nobody_takes(model, param, passed_over, having, others)


def _prefixed(model: str, roster: Roster) -> tuple[Provider, str] | None:
    """`Groq/llama-3.3-70b` names a provider where the part before the slash is exactly its id."""
    head, slash, rest = model.partition("/")
    provider = roster.get(head) if slash and rest else None
    return None if provider is None else (provider, rest)


def _asked(model: str, provider: Provider, operation: Operation) -> str:
    """The model without the id of the provider that is asked, where it begins with it; or the default."""
    asked = model if provider.has(model) else model.removeprefix(f"{provider.id}/")
    return asked or next(iter(provider.models(operation)), "")


def _anyone(model: str, roster: Roster, operation: Operation) -> list[Provider]:
    """Every enabled provider that is known to have the model, by priority."""
    return [
        provider
        for provider in roster.enabled
        if (provider.models(operation) and not model) or provider.does(operation, model)
    ]


def _fault(
    provider: Provider, model: str, request: Request, operation: Operation
) -> tuple[Cause, str] | None:
    """Why a provider cannot take the request: cause and message."""
    if provider.reason:
        return "not_enabled", f"not enabled ({provider.reason})"
    if not model or not provider.may_have(model, operation):
        return "no_such_model", f"no {operation.noun} {model}".rstrip()
    if refused := refusals.of(provider.row, request, operation):
        return "parameter_unsupported", f"does not take {', '.join(map(str, refused))}"
    return None
