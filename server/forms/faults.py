"""Finds what is wrong in a request that a type cannot say: JSON texts, numbers, what is required."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import msgspec
from google.protobuf import struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from server.forms.shapes import EXTRA_JSON, FLOATS, JSON_FAULTS, Field, shape

Faults = list[tuple[str, str]]  # the path of a field and what is wrong with it, each


@dataclass(frozen=True, slots=True)
class _Checking:
    """What is checked in the messages of one type: only the fields in which something can be wrong."""

    required: tuple[str, ...]
    checkers: dict[FieldDescriptor, Callable[[Any], Faults]]


@cache
def _checking(descriptor: Descriptor) -> _Checking:
    known = shape(descriptor)
    checkers = ((one, _checker(field, known.ours)) for one, field in known.fields.items())
    return _Checking(
        required=tuple(field.name for field in known.fields.values() if field.required),
        checkers={one: checker for one, checker in checkers if checker is not None},
    )


def check(message: Message) -> Faults:
    """Finds what is not what it must be in a request, its JSON texts first of all. What the request itself
    needs is seen to elsewhere.
    """
    return _check_fields(_checking(message.DESCRIPTOR), message)


def _check_fields(checking: _Checking, message: Message) -> Faults:
    checkers = checking.checkers
    found: Faults = []
    for descriptor, value in message.ListFields():
        checker = checkers.get(descriptor)
        if checker is not None and (faults := checker(value)):
            found += _within(descriptor.name, faults)
    return found


def _check_inner(checking: _Checking, message: Message) -> Faults:
    """The same of a message within another, which must have all that it needs."""
    found = _check_fields(checking, message)
    for name in reversed(checking.required):
        if not getattr(message, name):
            found.insert(0, (name, "is required"))
    return _within(".", found) if found else found


def _within(path: str, faults: Faults) -> Faults:
    return [(f"{path}{where}", fault) for where, fault in faults]


def _checker(field: Field, ours: frozenset[str]) -> Callable[[Any], Faults] | None:
    """Finds the faults of a field's value, by their paths in it; None where there can be none."""
    if field.cpp_type in FLOATS:
        return lambda value: [] if math.isfinite(value) else [("", "must be a number")]
    if field.is_map:
        return lambda value: [("", "must hold numbers") for item in value.values() if not _is_finite(item)]
    if field.is_struct:
        return _struct_faults
    if field.text:
        return partial(_text_faults, wanted=msgspec.Raw)
    if field.name == EXTRA_JSON:
        return partial(_extra_faults, ours=ours)
    if field.message is None:
        return None
    return partial(_check_list if field.repeated else _check_one, field.message)


def _check_one(descriptor: Descriptor, value: Message) -> Faults:
    return _check_inner(_checking(descriptor), value)


def _check_list(descriptor: Descriptor, value: Sequence[Message]) -> Faults:
    checking = _checking(descriptor)
    found: Faults = []
    for index, item in enumerate(value[:]):  # a list: protobuf's own sequence ends with an IndexError
        if faults := _check_inner(checking, item):
            found += _within(f"[{index}]", faults)
    return found


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _struct_faults(value: struct_pb2.Struct) -> Faults:
    try:
        MessageToDict(value)
    except ValueError as error:
        return [("", f"is not a JSON object: {error}")]
    return []


def _text_faults(text: str, wanted: Any) -> Faults:
    try:
        msgspec.json.decode(text, type=wanted)
        msgspec.json.decode(text)
    except JSON_FAULTS as error:
        return [("", f"is not valid JSON text: {error}")]
    return []


def _extra_faults(text: str, ours: frozenset[str]) -> Faults:
    if faults := _text_faults(text, dict[str, msgspec.Raw]):
        return faults
    names = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    return [("", f"repeats the field {name}; set the field itself") for name in names.keys() & ours]
