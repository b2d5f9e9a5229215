"""Writes answers of the contract as the JSON that REST callers get: protobuf's own mapping, by the names
that the fields have in the contract, with what the `form` options say.

https://protobuf.dev/programming-guides/json/
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from server.forms.lowering import plain
from server.forms.shapes import Field, Json, shape

_encode = msgspec.json.Encoder().encode


def printed(message: Message) -> bytes:
    """A message as one JSON object, on one line. Endless numbers are written as null."""
    return _encode(_printer(message.DESCRIPTOR)(message))


@cache
def _printer(descriptor: Descriptor) -> Callable[[Message], Json]:
    """What gives the members of the messages of one type."""
    known = shape(descriptor).fields.items()
    fields = {one: (field.printed or field.name, _writer(field)) for one, field in known}
    empty = [(field.name, msgspec.json.decode(field.empty)) for _, field in known if field.empty]

    def members(message: Message) -> Json:
        out: Json = {}
        for one, value in message.ListFields():
            name, write = fields[one]
            out[name] = value if write is None else write(value)
        for name, shown in empty:
            if name not in out:
                out[name] = shown
        return out

    return members


def _writer(field: Field) -> Callable[[Any], Any] | None:
    """How a field's value is written; None where that is as it is."""
    if field.is_map:
        raise ValueError(f"{field.name}: answers have no maps")
    if field.message is None:
        return list if field.repeated else None
    write = plain if field.is_struct else _printer(field.message)
    return (lambda items: [write(item) for item in items[:]]) if field.repeated else write
