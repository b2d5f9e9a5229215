"""What the attempts of a call amount to, where none of them gave an answer."""

from collections import Counter
from collections.abc import Sequence

from server.errors import (
    Attempt,
    AttemptFailed,
    InterferenceError,
    InvalidRequest,
    NotFound,
    RateLimited,
    TimedOut,
    Unavailable,
)

_REASONS = {NotFound: "model_not_found", InvalidRequest: "parameter_unsupported"}
# Where nothing but this was the cause.
_ONLY = {"overloaded": "overloaded", "circuit_open": "circuit_open", "not_enabled": "no_provider_enabled"}
_MOST_NAMED = 8  # providers in a hint
_BY_CAUSE: dict[str, type[InterferenceError]] = {
    "no_such_model": NotFound,
    "parameter_unsupported": InvalidRequest,
    "rate_limited": RateLimited,
    "overloaded": RateLimited,
    "timed_out": TimedOut,
}


def nobody_takes(
    model: str,
    param: str,
    passed_over: Sequence[Attempt],
    having: Sequence[str],
    others: Sequence[str],
) -> InterferenceError:
    """Nobody who was asked takes the parameters, `param` first among them.

    `having` would, and have the model; `others` would, and are not known to have it.
    """
    hint = "No enabled provider takes them"
    if having or others:
        hint = f"{', '.join((having or others)[:_MOST_NAMED])} would take them"
    if others:
        hint += ", but is not known" if len(others) == 1 else ", none known"
        hint += f" to have {model}"
    return InvalidRequest(
        f"No provider asked takes every parameter of the request: {_told(passed_over)}. {hint}.",
        reason="parameter_unsupported",
        param=param,
        model=model or None,
        attempts=tuple(passed_over),
    )


def nobody(model: str, passed_over: Sequence[Attempt], hint: str) -> InterferenceError:
    """Nobody could be asked. `hint` says who would have the model, or what comes close to it."""
    told = _told(passed_over)
    causes = {attempt.cause for attempt in passed_over}
    if causes <= {"no_such_model"}:
        what = told or f"No enabled provider has the model {model}"
        return NotFound(
            f"{what}.{hint} GET /v1/models lists what there is.",
            reason="model_not_found",
            param="model",
            model=model or None,
            attempts=tuple(passed_over),
        )
    return Unavailable(
        f"No provider could be asked: {told}.",
        reason="no_provider_enabled" if causes == {"not_enabled"} else "no_provider_fits",
        model=model or None,
        attempts=tuple(passed_over),
    )


def all_failed(
    model: str, passed_over: Sequence[Attempt], failed: Sequence[Attempt], retry_after: float | None
) -> InterferenceError:
    """Everybody who was asked failed. Where all failed alike, the error is of that kind."""
    causes = {attempt.cause for attempt in failed}
    kinds = {_BY_CAUSE.get(cause, Unavailable) for cause in causes}
    kind = kinds.pop() if len(kinds) == 1 else Unavailable
    only = next(iter(causes)) if len(causes) == 1 else ""
    everyone = (*passed_over, *failed)
    told = _told(everyone)
    return kind(
        f"Every provider failed: {told}." if len(everyone) > 1 else f"{told}.",
        reason=_REASONS.get(kind) or _ONLY.get(only),
        param="model" if kind is NotFound else failed[0].param if kind is InvalidRequest else None,
        provider=failed[0].provider if len(everyone) == 1 else None,
        model=model or None,
        attempts=everyone,
        retry_after=retry_after if kind in (RateLimited, Unavailable) else None,
    )


def broken(
    model: str, provider: str, error: AttemptFailed, attempts: Sequence[Attempt]
) -> InterferenceError:
    """A provider failed after content of its answer had left for the caller: nobody else is asked."""
    kind = _BY_CAUSE.get(error.cause, Unavailable)
    return kind(
        f"{provider} failed after its answer had begun: {error.message.rstrip('.')}.",
        reason="stream_broken" if kind is Unavailable else error.cause,
        provider=provider,
        model=model,
        attempts=tuple(attempts),
    )


def _told(attempts: Sequence[Attempt]) -> str:
    told = Counter(f"{a.provider}: {a.message.rstrip('.')}" for a in attempts)
    return "; ".join(f"{what} ({times} times)" if times > 1 else what for what, times in told.items())
