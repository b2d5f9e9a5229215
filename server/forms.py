"""How the contract looks in OpenAI's JSON: `lower` writes it, `lift` reads it, `check` finds faults.

Driven by the descriptors and the `form` and `discriminator` options of `form.proto`, so that a new
field of the contract needs no code here. The edge does the same lifting for REST callers in Lua.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from google.api import field_behavior_pb2
from google.protobuf import struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from interference.v1 import form_pb2

M = TypeVar("M", bound=Message)
# What reading hostile JSON can raise: nothing else. ValueError is for invalid UTF-8 and endless numbers.
JSON_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)
Json = dict[str, Any]
Spellings = tuple[tuple[str, str], ...]

_EXTRA_JSON = "extra_json"
_EXTRA = "extra"
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
# Each level of a Struct is three of protobuf's, which reads a hundred.
_MAX_DEPTH = 16
_FLOATS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)


@dataclass(frozen=True, slots=True)
class _Field:
    """What is needed of one field, looked up once."""

    name: str
    cpp_type: int
    repeated: bool
    is_map: bool
    is_struct: bool
    text: bool
    shorthand: str
    numbers: str
    message: Descriptor | None
    required: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    """What is needed of one message type, looked up once."""

    fields: dict[str, _Field]
    discriminator: form_pb2.Discriminator
    has_extra: bool
    required: tuple[str, ...]


@cache
def _shape(descriptor: Descriptor) -> _Shape:
    options = descriptor.GetOptions().Extensions
    return _Shape(
        fields={field.name: _describe(field) for field in descriptor.fields},
        discriminator=options[form_pb2.discriminator],
        has_extra=_EXTRA in descriptor.fields_by_name,
        required=tuple(field.name for field in descriptor.fields if _describe(field).required),
    )


def _describe(field: FieldDescriptor) -> _Field:
    form = field.GetOptions().Extensions[form_pb2.form]
    message = field.message_type
    return _Field(
        name=field.name,
        cpp_type=field.cpp_type,
        repeated=field.is_repeated,
        is_map=message is not None and message.GetOptions().map_entry,
        is_struct=message is not None and message.full_name == "google.protobuf.Struct",
        text=form.text,
        shorthand=form.shorthand,
        numbers=form.numbers,
        message=message,
        required=field_behavior_pb2.REQUIRED
        in field.GetOptions().Extensions[field_behavior_pb2.field_behavior],
    )


def case(message: Message) -> str:
    """Which of its cases a message with a discriminator is: what it says, or the field that is set."""
    says = _shape(message.DESCRIPTOR).discriminator
    said = getattr(message, says.field) if says.field else ""
    return said or next((name for name in says.cases if message.HasField(name)), "")


# --- Contract to OpenAI's JSON ---------------------------------------------------------------------


def lower(message: Message, skip: frozenset[str] = frozenset()) -> Json:
    """Writes a request message as the members of OpenAI's JSON object, without those in `skip`.

    JSON text stays text (`msgspec.Raw`), so that schemas and unknown members arrive byte for byte.
    The message has passed `check`.
    """
    shape = _shape(message.DESCRIPTOR)
    out: Json = {}
    for descriptor, value in message.ListFields():
        name = descriptor.name
        if name in skip or name in (_EXTRA_JSON, _EXTRA):
            continue
        out[name] = _lower_value(shape.fields[name], value)
    says = shape.discriminator
    if says.field and says.field not in out:
        set_cases = [case for case in says.cases if case in out]
        out = ({says.field: set_cases[0]} if set_cases else {}) | out
    return out | _additions(message, shape)


def _additions(message: Message, shape: _Shape) -> Json:
    additions: Json = {}
    if shape.has_extra and message.HasField(_EXTRA):
        # It came from an upstream, perhaps another one: it must not replace what the caller says.
        ours = shape.fields.keys() - {_EXTRA, _EXTRA_JSON}
        given = plain(getattr(message, _EXTRA))
        additions |= {name: value for name, value in given.items() if name not in ours}
    if _EXTRA_JSON in shape.fields and (text := getattr(message, _EXTRA_JSON)):
        additions |= msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    return additions


def _lower_value(field: _Field, value: Any) -> Any:
    if field.is_map:
        return {key: _number(item) for key, item in value.items()}
    if field.text:
        return msgspec.Raw(value.encode())
    if field.message is None:
        return [_number(item) for item in value] if field.repeated else _number(value)
    if not field.repeated:
        return _lower_item(field, value)
    if len(value) == 1 and (bare := _bare(field, value[0])) is not None:
        return bare
    return [_lower_item(field, item) if field.numbers else lower(item) for item in value]


def _lower_item(field: _Field, value: Message) -> Any:
    bare = _bare(field, value)
    return lower(value) if bare is None else bare


def _bare(field: _Field, value: Message) -> str | list[int] | None:
    """What stands for a message in which only the field that may come bare is set."""
    if not field.shorthand:
        return None
    present = value.ListFields()
    if len(present) != 1:
        return None
    name, given = present[0][0].name, present[0][1]
    if name == field.shorthand:
        return cast("str", given)
    return list(given) if name == field.numbers else None


def plain(struct: struct_pb2.Struct) -> Json:
    """A Struct as JSON has it: its numbers are doubles all, and whole ones are written as whole."""
    return cast("Json", _whole(MessageToDict(struct)))


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return _number(value)


def _number(value: Any) -> Any:
    """A double that is whole is written without a fraction, as a person would have written it."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


# --- OpenAI's JSON to contract ---------------------------------------------------------------------


def lift(message_type: type[M], value: Json, spellings: Spellings = ()) -> M:
    """Reads an object of OpenAI's JSON into a response message.

    Members that the contract does not know, or whose type is not the contract's, land in `extra`:
    nothing is lost. `spellings` pairs other names of members with the contract's, or with nothing
    where a member of the contract's name means something else. Null members count
    as absent. Raises one of `JSON_FAULTS` where something is nested beyond all reason.
    """
    return cast("M", _reader(cast("Descriptor", message_type.DESCRIPTOR), spellings)(value))


@cache
def _reader(descriptor: Descriptor, spellings: Spellings) -> Callable[[Json], Message]:
    """Reads objects into one message type; made once, for streams read thousands of them."""
    message_class = GetMessageClass(descriptor)
    shape = _shape(descriptor)
    readers = {
        name: (name, _value_reader(field, spellings))
        for name, field in shape.fields.items()
        if name not in (_EXTRA, _EXTRA_JSON)
    }
    for other, name in spellings:
        readers.pop(other, None)
        if name in readers:
            readers[other] = readers[name]

    def read(value: Json) -> Message:
        known: Json = {}
        unknown: Json = {}
        for key, item in value.items():
            if item is None:
                continue
            name, read_value = readers.get(key, _UNKNOWN)
            lifted = None if name in known else read_value(item)
            if lifted is None:
                unknown[key] = item
            else:
                known[name] = lifted
        if unknown and shape.has_extra:
            if isinstance(unknown.get(_EXTRA), dict):  # of a server like this one
                unknown |= unknown.pop(_EXTRA)
            known[_EXTRA] = _struct(unknown)
        return message_class(**known)

    return read


def _value_reader(field: _Field, spellings: Spellings) -> Callable[[Any], Any]:
    """Gives a member's value as the field takes it, or None where it does not fit."""
    if field.is_struct:
        return lambda value: _struct(value) if isinstance(value, dict) else None
    read = _item_reader(field, spellings)
    if not field.repeated:
        return read

    def read_list(value: Any) -> Any:
        if not isinstance(value, list):
            return None
        if read is _double and set(map(type, value)) == {float}:  # a vector
            return value
        items = [read(item) for item in value]
        return None if None in items else items

    return read_list


def _item_reader(field: _Field, spellings: Spellings) -> Callable[[Any], Any]:
    if field.message is not None:
        if field.is_map:
            return _nothing
        read = _reader(field.message, spellings)
        return lambda value: read(value) if isinstance(value, dict) else None
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return lambda value: value if isinstance(value, str) else None
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return lambda value: value if isinstance(value, bool) else None
    if field.cpp_type in _FLOATS:
        return _double
    low, high = _INTEGERS[field.cpp_type]

    def whole(value: Any) -> int | None:
        fits = _is_number(value) and low <= value <= high and value == int(value)
        return int(value) if fits else None

    return whole


def _double(value: Any) -> float | None:
    try:
        return float(value) if _is_number(value) else None
    except OverflowError:
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _nothing(_: Any) -> None:
    return None


_UNKNOWN: tuple[str, Callable[[Any], Any]] = ("", _nothing)


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


# --- Faults ----------------------------------------------------------------------------------------


def check(message: Message, path: str = "") -> Iterator[tuple[str, str]]:
    """Finds the JSON texts in a request that are not what they must be: (field path, fault) each."""
    shape = _shape(message.DESCRIPTOR)
    for name in shape.required if path else ():  # what a request itself needs is seen to elsewhere
        if not getattr(message, name):
            yield f"{path}{name}", "is required"
    for descriptor, value in message.ListFields():
        field = shape.fields[descriptor.name]
        where = f"{path}{field.name}"
        if field.cpp_type in _FLOATS and not math.isfinite(value):
            yield where, "must be a number"
        elif field.is_map:
            yield from ((where, "must hold numbers") for item in value.values() if not _is_finite(item))
        elif field.is_struct:
            yield from ((where, fault) for fault in _struct_faults(value))
        elif field.text:
            yield from ((where, fault) for fault in _text_faults(value, msgspec.Raw))
        elif field.name == _EXTRA_JSON:
            yield from ((where, fault) for fault in _extra_faults(value, shape))
        elif field.message is None:
            continue
        elif field.repeated:
            for index, item in enumerate(value):
                yield from check(item, f"{where}[{index}].")
        else:
            yield from check(value, f"{where}.")


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _struct_faults(value: struct_pb2.Struct) -> Iterator[str]:
    try:
        MessageToDict(value)
    except ValueError as error:
        yield f"is not a JSON object: {error}"


def _text_faults(text: str, wanted: Any) -> Iterator[str]:
    try:
        msgspec.json.decode(text, type=wanted)
        msgspec.json.decode(text)
    except JSON_FAULTS as error:
        yield f"is not valid JSON text: {error}"


def _extra_faults(text: str, shape: _Shape) -> Iterator[str]:
    faults = list(_text_faults(text, dict[str, msgspec.Raw]))
    yield from faults
    if not faults:
        names = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        for name in names.keys() & (shape.fields.keys() - {_EXTRA_JSON, _EXTRA}):
            yield f"repeats the field {name}; set the field itself"
