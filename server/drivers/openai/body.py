"""The body of a request in the dialect, as the parameters and the profile of the provider's row have it."""

from typing import Any

from server import forms
from server.drivers.base import Target
from server.drivers.openai import messages
from server.operations import CHAT, STEERING, Request, StreamRequest, of
from server.profile import Profile
from server.rows import ONES, TWINS

_STREAMING = frozenset({"stream", "stream_options"})
_OURS = STEERING | {"model", "providers"}


def of_request(request: Request, target: Target, skip: frozenset[str]) -> dict[str, Any]:
    """The members that the provider takes, by the provider's names, without those in `skip`."""
    operation, row = of(request), target.row
    honoured = row.params_of(operation)
    body = forms.lower(request, skip | _OURS)
    for name, twin in TWINS.items():
        if name in body and name in operation.fields and name not in honoured and twin in honoured:
            body.setdefault(twin, body.pop(name))
    dropped = set(operation.hints)
    if row.unsupported == "drop":
        dropped |= set(operation.fields) - operation.ours
    else:  # goes without saying
        dropped |= {name for name in ONES if getattr(request, name, None) == 1}
    body = {name: value for name, value in body.items() if name in honoured or name not in dropped}
    if operation is CHAT:
        messages.mend(body, row.profile)
    return {"model": target.model, **_translated(body, row.profile)}


def of_stream_request(request: StreamRequest, target: Target, *, stream: bool) -> dict[str, Any]:
    """The same of a request that may be streamed, with the members that ask for a stream."""
    body = of_request(request, target, _STREAMING)
    if stream:
        body["stream"] = True
        if request.HasField("stream_options") and "stream_options" in target.row.params_of(of(request)):
            body["stream_options"] = forms.lower(request.stream_options)
    return body


def _translated(body: dict[str, Any], profile: Profile) -> dict[str, Any]:
    """Says parameters in the vendor's words."""
    translated: dict[str, Any] = {}
    for name, value in body.items():
        other = profile.values.get(name, {}).get(value) if isinstance(value, str) else None
        if isinstance(other, dict):
            translated |= other
        else:
            translated[profile.names.get(name, name)] = value if other is None else other
    return translated
