"""Writes messages of the contract as OpenAI's JSON has them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import msgspec
from google.protobuf import struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from server.forms.shapes import EXTRA, EXTRA_JSON, FLOATS, Field, Json, Shape, shape


@dataclass(frozen=True, slots=True)
class _Writing:
    """How the messages of one type are written.

    `writers` has the name of each field of the contract's own and how its value is written, or None where
    it is written as it is.
    """

    shape: Shape
    writers: dict[FieldDescriptor, tuple[str, Callable[[Any], Any] | None]]


@cache
def _writing(descriptor: Descriptor) -> _Writing:
    known = shape(descriptor)
    fields = known.fields.items()
    writers = {one: (field.name, _writer(field)) for one, field in fields if field.name in known.ours}
    return _Writing(known, writers)


def lower(message: Message, skip: frozenset[str] = frozenset()) -> Json:
    """Writes a request message as the members of OpenAI's JSON object, without those in `skip`.

    JSON text stays text (`msgspec.Raw`), so that schemas and unknown members arrive byte for byte.
    The message has passed `check`.
    """
    writing = _writing(message.DESCRIPTOR)
    known, writers = writing.shape, writing.writers
    out: Json = {}
    adds = False
    for descriptor, value in message.ListFields():
        found = writers.get(descriptor)
        if found is None:
            adds = True
            continue
        name, write = found
        if name not in skip:
            out[name] = value if write is None else write(value)
    if known.discriminator and known.discriminator not in out:
        for name in known.cases:
            if name in out:
                out = {known.discriminator: name, **out}
                break
    return out | _additions(message, known) if adds else out


def _additions(message: Message, known: Shape) -> Json:
    additions: Json = {}
    if known.has_extra and message.HasField(EXTRA):
        # It came from an upstream, perhaps another one: it must not replace what the caller says.
        given = plain(getattr(message, EXTRA))
        additions |= {name: value for name, value in given.items() if name not in known.ours}
    if known.has_extra_json and (text := getattr(message, EXTRA_JSON)):
        additions |= msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    return additions


def _writer(field: Field) -> Callable[[Any], Any] | None:
    """How a field's value is written; None where that is as it is."""
    if field.is_map:
        return lambda value: {key: _number(item) for key, item in value.items()}
    if field.text:
        return lambda value: msgspec.Raw(value.encode())
    if field.message is None:
        number = _number if field.cpp_type in FLOATS else None
        if field.repeated:
            return list if number is None else lambda value: [_number(item) for item in value]
        return number
    if not field.shorthand:
        # A list is made first: protobuf's own sequence ends with an IndexError.
        return (lambda value: [lower(item) for item in value[:]]) if field.repeated else lower
    write_item = partial(_lower_item, field)
    if not field.repeated:
        return write_item
    write_each = write_item if field.numbers else lower

    def write_list(value: Any) -> Any:
        if len(value) == 1 and (bare := _bare(field, value[0])) is not None:
            return bare
        return [write_each(item) for item in value]

    return write_list


def _lower_item(field: Field, value: Message) -> Any:
    bare = _bare(field, value)
    return lower(value) if bare is None else bare


def _bare(field: Field, value: Message) -> str | list[int] | None:
    """What stands for a message in which only the field that may come bare is set."""
    present = value.ListFields()
    if len(present) != 1:
        return None
    [(descriptor, given)] = present
    if descriptor.name == field.shorthand:
        bare: str = given
        return bare
    return list(given) if descriptor.name == field.numbers else None


def plain(struct: struct_pb2.Struct) -> Json:
    """A Struct as JSON has it: its numbers are doubles all, and whole ones are written as whole."""
    return {key: _plain(value) for key, value in struct.fields.items()}


def _plain(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return plain(value.struct_value)
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    if kind == "null_value" or kind is None:
        return None
    return _number(getattr(value, kind))


def _number(value: Any) -> Any:
    """A double that is whole is written without a fraction, as a person would have written it."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
