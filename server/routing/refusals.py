"""Which parameters of a request a provider cannot take, by its row: fields it lacks, values it refuses."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from interference.v1.input_pb2 import TextInput
from server import forms
from server.operations import Operation, Request
from server.rows import ONES, TWINS, Row

_SIZES = ("size", "width", "height")  # each stands for the others


@dataclass(frozen=True, slots=True)
class Refusal:
    """A parameter that cannot be taken, and the value of it, where it is that."""

    param: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.param} {self.value}".rstrip()


def of(row: Row, request: Request, operation: Operation) -> list[Refusal]:
    """All that speaks against asking the provider, in the order of the request's fields."""
    return [*_lacking(row, request, operation), *_refused(row, request)]


def takes(row: Row, request: Request, operation: Operation) -> bool:
    """Whether the provider honours all that is asked, and drops nothing of it."""
    return not [*_unlisted(row, request, operation), *_refused(row, request)]


def honours(row: Row, operation: Operation, name: str) -> bool:
    """Whether a parameter has its effect where the provider is asked: itself, or said in another."""
    if name in operation.ours and name not in _SIZES:
        return True
    listed = row.params_of(operation)
    alike = _SIZES if name in _SIZES else (name, TWINS.get(name))
    return any(one in listed for one in alike)


def _lacking(row: Row, request: Request, operation: Operation) -> Iterator[Refusal]:
    if row.unsupported != "drop":
        yield from _unlisted(row, request, operation)


def _unlisted(row: Row, request: Request, operation: Operation) -> Iterator[Refusal]:
    for name in _given(request, operation):
        if not honours(row, operation, name):
            yield Refusal(name)
    if _has_size(request) and not honours(row, operation, "size"):
        yield Refusal("size")


def _has_size(request: Request) -> bool:
    if not isinstance(request, GenerateImagesRequest):
        return False
    return bool(request.width) or request.size not in ("", "auto")


def _given(request: Request, operation: Operation) -> list[str]:
    """The parameters of a request that a provider must take to answer it as it was meant."""
    given = [field.name for field, _ in request.ListFields() if field.name in operation.wanted]
    return [name for name in given if name not in ONES or getattr(request, name) != 1]


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
