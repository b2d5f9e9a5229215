"""Reads OpenAI's JSON into messages of the contract."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import msgspec
from google.protobuf import struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from server.forms.shapes import EXTRA, FLOATS, Field, Json, shape

M = TypeVar("M", bound=Message)
Spellings = tuple[tuple[str, str], ...]

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
# Each level of a Struct is three of protobuf's, which reads a hundred.
_MAX_DEPTH = 16


def lift(message_type: type[M], value: Json, spellings: Spellings = ()) -> M:
    """Reads an object of OpenAI's JSON into a response message.

    Members that the contract does not know, or whose type is not the contract's, land in `extra`:
    nothing is lost. `spellings` pairs other names of members with the contract's, or with nothing
    where a member of the contract's name means something else. Null members count
    as absent. Raises one of `JSON_FAULTS` where something is nested beyond all reason.
    """
    descriptor: Any = message_type.DESCRIPTOR
    return message_type(**_reader(descriptor, spellings)(value))


@cache
def _reader(descriptor: Descriptor, spellings: Spellings) -> Callable[[Any], Any]:
    """Reads objects into the members of one message type; made once, for streams read thousands of them.
    What is no object gives None.

    The message is made of them at the end, those within it too: each of its own would be copied into it.
    """
    known_type = shape(descriptor)
    # For each member its field, the type whose values need no reading, and how others are read.
    readers = {
        field.name: (field.name, *_value_reader(field, spellings))
        for field in known_type.fields.values()
        if field.name in known_type.ours
    }
    for other, name in spellings:
        readers.pop(other, None)
        if name in readers:
            readers[other] = readers[name]

    def read(value: Any) -> Json | None:
        if not isinstance(value, dict):
            return None
        known: Json = {}
        unknown: Json = {}
        for key, item in value.items():
            if item is None:
                continue
            name, as_it_is, read_value = readers.get(key, _UNKNOWN)
            if name in known:
                unknown[key] = item
            elif type(item) is as_it_is:
                known[name] = item
            elif (lifted := read_value(item)) is None:
                unknown[key] = item
            else:
                known[name] = lifted
        if unknown and known_type.has_extra:
            if isinstance(unknown.get(EXTRA), dict):  # of a server like this one
                unknown |= unknown.pop(EXTRA)
            known[EXTRA] = _struct(unknown)
        return known

    return read


def _value_reader(field: Field, spellings: Spellings) -> tuple[type | None, Callable[[Any], Any]]:
    """The type whose values a field takes as they are, if any, and what gives others as the field takes
    them, or None where they do not fit.
    """
    if field.is_struct:
        return None, lambda value: _struct(value) if isinstance(value, dict) else None
    as_it_is, read = _item_reader(field, spellings)
    if not field.repeated:
        return as_it_is, read

    def read_list(value: Any) -> Any:
        if not isinstance(value, list):
            return None
        if read is _double and set(map(type, value)) == {float}:  # a vector
            return value
        items = [read(item) for item in value]
        return None if None in items else items

    return None, read_list


def _item_reader(field: Field, spellings: Spellings) -> tuple[type | None, Callable[[Any], Any]]:
    if field.message is not None:
        return None, _nothing if field.is_map else _reader(field.message, spellings)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return str, _text
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return bool, lambda value: value if isinstance(value, bool) else None
    if field.cpp_type in FLOATS:
        return float, _double
    low, high = _INTEGERS[field.cpp_type]

    def whole(value: Any) -> int | None:
        if type(value) is int:
            return value if low <= value <= high else None
        fits = _is_number(value) and low <= value <= high and value == int(value)
        return int(value) if fits else None

    return None, whole


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _double(value: Any) -> float | None:
    try:
        return float(value) if _is_number(value) else None
    except OverflowError:
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _nothing(_: Any) -> None:
    return None


_UNKNOWN: tuple[str, None, Callable[[Any], Any]] = ("", None, _nothing)


def _struct(value: Json) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(_bounded(value, _MAX_DEPTH))
    return struct


def _bounded(value: Any, depth: int) -> Any:
    """The value as a Struct can hold it: what is too deep or too large a number becomes JSON text."""
    if isinstance(value, dict | list) and not depth:
        return msgspec.json.encode(value).decode()
    if isinstance(value, dict):
        return {key: _bounded(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_bounded(item, depth - 1) for item in value]
    return str(value) if _is_number(value) and _double(value) is None else value
