"""What the descriptors and the options of `form.proto` say of fields and messages, looked up once."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from interference.v1 import form_pb2

# What reading hostile JSON can raise: nothing else. ValueError is for invalid UTF-8 and endless numbers.
JSON_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)
FLOATS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)
EXTRA_JSON = "extra_json"
EXTRA = "extra"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """What is needed of one field, looked up once."""

    name: str
    cpp_type: int
    repeated: bool
    is_map: bool
    is_struct: bool
    text: bool
    shorthand: str
    numbers: str
    printed: str
    empty: str
    message: Descriptor | None
    required: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """What is needed of one message type; `ours` are the fields that the contract itself knows."""

    fields: dict[FieldDescriptor, Field]
    ours: frozenset[str]
    discriminator: str
    cases: tuple[str, ...]
    has_extra: bool
    has_extra_json: bool


@cache
def shape(descriptor: Descriptor) -> Shape:
    """The shape of a message type."""
    says = descriptor.GetOptions().Extensions[form_pb2.discriminator]
    names = frozenset(descriptor.fields_by_name)
    return Shape(
        fields={field: _describe(field) for field in descriptor.fields},
        ours=names - {EXTRA, EXTRA_JSON},
        discriminator=says.field,
        cases=tuple(says.cases),
        has_extra=EXTRA in names,
        has_extra_json=EXTRA_JSON in names,
    )


def _describe(field: FieldDescriptor) -> Field:
    form = field.GetOptions().Extensions[form_pb2.form]
    message = field.message_type
    return Field(
        name=field.name,
        cpp_type=field.cpp_type,
        repeated=field.is_repeated,
        is_map=message is not None and message.GetOptions().map_entry,
        is_struct=message is not None and message.full_name == "google.protobuf.Struct",
        text=form.text,
        shorthand=form.shorthand,
        numbers=form.numbers,
        printed=form.printed,
        empty=form.empty,
        message=message,
        required=field_behavior_pb2.REQUIRED
        in field.GetOptions().Extensions[field_behavior_pb2.field_behavior],
    )


def case(message: Message) -> str:
    """Which of its cases a message with a discriminator is: what it says, or the field that is set."""
    known = shape(message.DESCRIPTOR)
    said = getattr(message, known.discriminator) if known.discriminator else ""
    return said or next((name for name in known.cases if message.HasField(name)), "")
