"""The dialect on the wire: where its methods are, the key, and JSON read from answers.

https://ai.google.dev/api/generate-content
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from server.drivers import answers, failures
from server.drivers.base import Target
from server.drivers.gemini import faults
from server.errors import AttemptFailed, RequestRefused
from server.transport import HttpAnswer, HttpRequest

Json = dict[str, Any]
_KINDS = ("models/", "tunedModels/")
_encode = msgspec.json.Encoder().encode


def post(target: Target, method: str, body: Json, query: str = "") -> HttpRequest:
    """Calls a method of the model."""
    url = f"{_base(target)}/{resource(target.model)}:{method}{query}"
    return HttpRequest("POST", url, {**headers(target), "content-type": "application/json"}, _encode(body))


def models(target: Target) -> HttpRequest:
    """GET /models, all on one page: a thousand is the most."""
    return HttpRequest("GET", f"{_base(target)}/models?pageSize=1000", headers(target))


def resource(model: str) -> str:
    """The resource name of a model, in an address; a tuned one is named whole (`tunedModels/...`)."""
    kind, slash, name = model.rpartition("/")
    if kind + slash not in _KINDS:
        kind, slash, name = "models", "/", model
    return f"{kind}{slash}{quote(name, safe='')}"


def headers(target: Target) -> dict[str, str]:
    """The key, in the header that it is read from."""
    return {"x-goog-api-key": target.key} if target.key else {}


def read(text: bytes, target: Target, answered: Mapping[str, str] | None = None) -> Json:
    """A JSON object that tells of no failure. `answered` are the headers that it came with.

    Raises `AttemptFailed` or `RequestRefused`.
    """
    decoded = answers.decode(text)
    if failures.is_failure(decoded):
        raise faults.read(200, answered or {}, decoded, target)
    if not isinstance(decoded, dict):
        raise AttemptFailed(answers.BROKEN, "answered with JSON that is not an object")
    return decoded


def answered(answer: HttpAnswer, target: Target) -> Json:
    """The object of a whole answer."""
    return read(answer.body, target, answer.headers)


def refused(target: Target, param: str, fault: str) -> RequestRefused:
    """Says what is wrong with a request that cannot be put in Gemini's words."""
    return RequestRefused(f"{param} {fault}", param=param, provider=target.row.id, model=target.model)


def lacking(param: str, lack: str) -> AttemptFailed:
    """Says that Gemini has nothing to put a parameter into."""
    return AttemptFailed("parameter_unsupported", lack, param=param, blame=False)


def merge(ours: Json, text: str) -> None:
    """Puts the members of a JSON object's text into ours, byte for byte: into an object object by object,
    otherwise in its place.
    """
    if text:
        _merge(ours, msgspec.json.decode(text, type=dict[str, msgspec.Raw]))


def _merge(ours: Json, theirs: Mapping[str, msgspec.Raw]) -> None:
    for name, raw in theirs.items():
        known = ours.get(name)
        if isinstance(known, dict) and bytes(raw).lstrip().startswith(b"{"):
            _merge(known, msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))
        else:
            ours[name] = raw


def _base(target: Target) -> str:
    return target.row.base_url.rstrip("/")
