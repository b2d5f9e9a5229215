"""Which parameters of a request a provider cannot take, by its row: fields it lacks, values it refuses."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from interference.v1.input_pb2 import TextInput
from server import forms
from server.operations import Operation, Request
from server.rows import ONES, Row, honoured


@dataclass(frozen=True, slots=True)
class Refusal:
    """A parameter that cannot be taken, and the value of it, where it is that."""

    param: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.param} {self.value}".rstrip()


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request as a provider is compared with it: with the parameters in it that it must take."""

    request: Request
    operation: Operation
    params: list[str]


def asked(request: Request, operation: Operation) -> Asked:
    """Looks a request through once, for all the providers that it is compared with."""
    wanted = operation.wanted
    params = [
        name
        for field, value in request.ListFields()
        if (name := field.name) in wanted and (name not in ONES or value != 1)
    ]
    if isinstance(request, GenerateImagesRequest) and _has_size(request):
        params.append("size")
    return Asked(request, operation, params)


def of(row: Row, asked: Asked) -> list[Refusal]:
    """All that speaks against asking the provider, in the order of the request's fields."""
    lacking = [] if row.unsupported == "drop" else _unlisted(row, asked)
    return [*lacking, *_refused(row, asked.request)] if row.profile.refuses else lacking


def takes(row: Row, asked: Asked) -> bool:
    """Whether the provider honours all that is asked, and drops nothing of it."""
    return not [*_unlisted(row, asked), *_refused(row, asked.request)]


def honours(row: Row, operation: Operation, name: str) -> bool:
    """Whether a parameter has its effect where the provider is asked: itself, or said in another."""
    return name in honoured(row.params_of(operation), operation.ours)


def _unlisted(row: Row, asked: Asked) -> list[Refusal]:
    if not asked.params:
        return []
    effective = honoured(row.params_of(asked.operation), asked.operation.ours)
    return [Refusal(name) for name in asked.params if name not in effective]


def _has_size(request: GenerateImagesRequest) -> bool:
    return bool(request.width) or request.size not in ("", "auto")


def _refused(row: Row, request: Request) -> Iterator[Refusal]:
    for param, refused in row.profile.refuses.items():
        found = dict.fromkeys(value for value in _values(request, param) if value in refused)
        yield from (Refusal(param, value) for value in found)


def _values(request: Any, param: str) -> Iterator[str]:
    """What a profile can refuse of a field: its word, the case that is set, or its form."""
    if param == "content":
        if isinstance(request, CreateCompletionRequest):
            yield from (forms.case(part) for message in request.messages for part in message.content)
        return
    field = request.DESCRIPTOR.fields_by_name.get(param)
    if field is None:
        return
    given: Any = getattr(request, param)
    if param in ("prompt", "input"):
        if field.is_repeated:  # of texts; an image's prompt is one
            yield from _form(list(given))
    elif field.is_repeated:
        yield from map(forms.case, given)
    elif field.message_type is None:
        yield given
    elif request.HasField(param):
        yield getattr(given, "mode", "") or forms.case(given)


def _form(inputs: list[TextInput]) -> Iterator[str]:
    if len(inputs) > 1:
        yield "list"
    if any(one.tokens for one in inputs):
        yield "tokens"
