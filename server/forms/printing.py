"""Writes answers of the contract as the JSON that REST callers get: protobuf's own mapping, by the names
that the fields have in the contract, with what the `form` options say.

https://protobuf.dev/programming-guides/json/
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from server.forms.lowering import plain
from server.forms.shapes import Field, Json, shape

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Printing:
    """How the messages of one type are written: by the number of each field its name and how its value is
    written, None where that is as it is; and what is shown of a field that is empty, where anything is.
    """

    fields: dict[int, tuple[str, Callable[[Any], Any] | None]]
    empty: tuple[tuple[str, Any], ...]


def printed(message: Message) -> bytes:
    """A message as one JSON object, on one line. Endless numbers are written as null."""
    return _encode(_members(message, _printing(message.DESCRIPTOR)))


def _members(message: Message, printing: _Printing) -> Json:
    fields = printing.fields
    out: Json = {}
    for descriptor, value in message.ListFields():
        name, write = fields[descriptor.number]
        out[name] = value if write is None else write(value)
    for name, shown in printing.empty:
        if name not in out:
            out[name] = shown
    return out


@cache
def _printing(descriptor: Descriptor) -> _Printing:
    known = shape(descriptor).fields.items()
    fields = {one.number: (field.printed or field.name, _writer(field)) for one, field in known}
    empty = [(field.name, msgspec.json.decode(field.empty)) for _, field in known if field.empty]
    return _Printing(fields, tuple(empty))


def _writer(field: Field) -> Callable[[Any], Any] | None:
    if field.is_struct and not field.repeated:
        return plain
    if field.message is None:
        return list if field.repeated else None
    if field.is_map:
        raise ValueError(f"{field.name}: answers have no maps")
    printing = _printing(field.message)
    if field.repeated:
        return lambda items: [_members(item, printing) for item in items]
    return lambda item: _members(item, printing)
