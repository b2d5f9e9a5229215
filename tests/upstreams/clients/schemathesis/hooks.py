"""Has the requests that schemathesis makes up reach a provider: what is valid in them is made to fit one.

Random names of models and providers would end every request with 404, and ranges that are a provider's
own with 400. A valid value is replaced by a valid one and nothing else is touched, so that a request that
breaks the schema still breaks it in the same place.
"""
# mypy: disable-error-code="import-not-found, untyped-decorator"

import re
from typing import Any

import schemathesis

INT32 = 2**31
PATIENCE = 60  # seconds
TIMEOUT = re.compile(r"[0-9]+(\.[0-9]+)?(ms|s|m)?\Z")
SIZE = re.compile(r"([1-9][0-9]{0,4}x[1-9][0-9]{0,4}|auto)\Z")
# path: the model to ask for, and its provider; images are Canvas's, the rest Echo's
MODELS = {"/v1/completions": ("t", "Everything"), "/v1/embeddings": ("e", "Everything")}
IMAGES = ("/v1/images/generate", "/v1/images/generations", "/v1/media/generate")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:  # noqa: ARG001 - the names are schemathesis's
    """Changes a request before it is sent."""
    if isinstance(case.body, dict):
        case.body = case.body | _known(case.body, case.operation.path) | _possible(case.body)
    if TIMEOUT.match(str((case.headers or {}).get("x-request-timeout", ""))):
        case.headers["x-request-timeout"] = str(PATIENCE)


def _known(body: dict[str, Any], path: str) -> dict[str, Any]:
    """The model and the provider, where the body has any of the right form."""
    image = path in IMAGES
    model, provider = MODELS.get(path, ("canvas", "Canvas") if image else ("echo", "Echo"))
    known: dict[str, Any] = {}
    if isinstance(given := body.get("model"), str) and 0 < len(given) <= 256:
        known["model"] = model
    given = body.get("provider")
    if isinstance(given, str) and 0 < len(given.split()) <= 32 and all(len(x) <= 64 for x in given.split()):
        known["provider"] = provider
    elif isinstance(given, list) and 0 < len(given) <= 32 and all(map(_is_id, given)):
        known["provider"] = [provider]
    return known


def _possible(body: dict[str, Any]) -> dict[str, Any]:
    """What Canvas can draw, and Echo can say."""
    possible: dict[str, Any] = {}
    for name in ("width", "height"):
        if 1 <= _whole(body.get(name), 0) <= 16_384:
            possible[name] = 32
    if isinstance(size := body.get("size"), str) and SIZE.match(size):
        possible["size"] = "32x32"
    if isinstance(body.get("output_format"), str):
        possible["output_format"] = "png"
    for name in ("max_tokens", "max_completion_tokens"):
        if -INT32 <= _whole(body.get(name), 1) < 1:
            possible[name] = 1
    possible.update(_patient(body, ("timeout",)))
    if isinstance(limits := body.get("time_limits"), dict):
        possible["time_limits"] = limits | _patient(limits, ("connect", "first_content", "idle", "total"))
    return possible


def _patient(body: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Times that are long enough for an answer, in place of those that may be given."""
    return {
        name: PATIENCE
        for name in names
        if isinstance(value := body.get(name), int | float)
        and not isinstance(value, bool)
        and 0.001 <= value <= 3600
    }


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 64


def _whole(value: Any, otherwise: int) -> int:
    """A whole number, which JSON may write as 1 or 1.0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and float(value).is_integer() else otherwise
