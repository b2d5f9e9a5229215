"""The body of a request in the dialect, as the parameters and the profile of the provider's row have it."""

from typing import Any

from server import forms
from server.drivers.base import Target
from server.drivers.openai import messages, terms
from server.operations import CHAT, STEERING, Request, StreamRequest, of
from server.profile import Profile

_OURS = STEERING | {"model", "providers"}
_STREAMING = _OURS | {"stream", "stream_options"}


def of_request(request: Request, target: Target, skip: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The members that the provider takes, by the provider's names, without those in `skip`."""
    return _of(request, target, skip | _OURS)


def of_stream_request(request: StreamRequest, target: Target, *, stream: bool) -> dict[str, Any]:
    """The same of a request that may be streamed, with the members that ask for a stream."""
    body = _of(request, target, _STREAMING)
    if stream:
        body["stream"] = True
        if request.HasField("stream_options") and "stream_options" in target.row.params_of(of(request)):
            body["stream_options"] = forms.lower(request.stream_options)
    return body


def _of(request: Request, target: Target, skip: frozenset[str]) -> dict[str, Any]:
    operation, row = of(request), target.row
    agreed = terms.of(row, operation)
    body = forms.lower(request, skip)
    for name, twin in agreed.renamed:
        if name in body:
            body.setdefault(twin, body.pop(name))
    if not agreed.dropped.isdisjoint(body):
        body = {name: value for name, value in body.items() if name not in agreed.dropped}
    for name in agreed.ones:  # goes without saying
        if body.get(name) == 1:
            del body[name]
    if operation is CHAT:
        messages.mend(body, row.profile)
    return {"model": target.model, **_translated(body, row.profile)}


def _translated(body: dict[str, Any], profile: Profile) -> dict[str, Any]:
    """Says parameters in the vendor's words."""
    if not profile.names and not profile.values:
        return body
    translated: dict[str, Any] = {}
    for name, value in body.items():
        other = profile.values.get(name, {}).get(value) if isinstance(value, str) else None
        if isinstance(other, dict):
            translated |= other
        else:
            translated[profile.names.get(name, name)] = value if other is None else other
    return translated
