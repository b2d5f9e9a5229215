"""Reads how a caller wants a text to be written, and refuses what makes no sense."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from server import forms
from server.drivers.base import Target
from server.drivers.llama.sampling import Sampling
from server.errors import AttemptFailed, RequestRefused
from server.operations import Request, StreamRequest

_MOST_CHOICES = 128
_RANGES = {
    "temperature": (0, 100),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "top_logprobs": (0, 20),
    "n": (1, _MOST_CHOICES),
    "max_tokens": (1, 2**31 - 1),
    "max_completion_tokens": (1, 2**31 - 1),
}
_DEFAULTS = Sampling()
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Additions(msgspec.Struct, frozen=True):
    """Members beyond the contract that llama-server takes, and so does the driver."""

    top_k: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = _DEFAULTS.top_k
    min_p: _Share = _DEFAULTS.min_p
    repeat_penalty: Annotated[float, msgspec.Meta(gt=0, le=10)] = _DEFAULTS.repeat_penalty
    chat_template_kwargs: dict[str, Any] = {}


def additions(request: Request, target: Target) -> Additions:
    """The members beyond the contract. Raises `AttemptFailed` for one that is not known here."""
    text = request.extra_json or "{}"
    known = {field.name for field in msgspec.structs.fields(Additions)}
    if not isinstance(request, CreateCompletionRequest):
        known.discard("chat_template_kwargs")
    try:
        names = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        if unknown := sorted(names.keys() - known):
            told = f"does not take {', '.join(unknown[:5])}"
            raise AttemptFailed("parameter_unsupported", told, param=unknown[0], blame=False)
        return msgspec.json.decode(text, type=Additions)
    except forms.JSON_FAULTS as error:
        message, _, path = str(error).partition(" - at `$.")
        raise refused(target, path.rstrip("`") or "extra_json", message) from None


def sampling(request: StreamRequest, target: Target, added: Additions, size: int) -> Sampling:
    """How to pick tokens, of so many. Raises `RequestRefused` for one that is not among them."""
    given = {
        name: getattr(request, name)
        for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed")
        if request.HasField(name)
    }
    logprobs = None
    if isinstance(request, CreateCompletionRequest) and request.logprobs:
        logprobs = request.top_logprobs
    return Sampling(
        **given,
        top_k=added.top_k,
        min_p=added.min_p,
        repeat_penalty=added.repeat_penalty,
        bias=_bias(request.logit_bias, target, size),
        logprobs=logprobs,
    )


def check(request: StreamRequest, target: Target) -> None:
    """Raises `RequestRefused` for a number that is out of its range."""
    for name, (least, most) in _RANGES.items():
        if name not in request.DESCRIPTOR.fields_by_name or not request.HasField(name):  # type: ignore[arg-type]
            continue
        if not least <= getattr(request, name) <= most:
            raise refused(target, name, f"must be {least} to {most}")


def caller(request: Request) -> str:
    """Who asks, as far as that is told: those who do not say so take turns as one."""
    if isinstance(request, CreateCompletionRequest):
        return request.user or request.safety_identifier or request.prompt_cache_key
    return request.user


def refused(target: Target, param: str, fault: str, reason: str | None = None) -> RequestRefused:
    """What is wrong with a request."""
    return RequestRefused(
        f"{param}: {fault}", reason=reason, param=param, provider=target.row.id, model=target.model
    )


def _bias(given: Mapping[str, float], target: Target, size: int) -> dict[int, float]:
    bias = {}
    for token, value in given.items():
        if not (token.isascii() and token.isdecimal() and len(token) < 9 and int(token) < size):
            raise refused(target, "logit_bias", f"{token[:32]!r} is not the id of a token")
        bias[int(token)] = value
    return bias
