"""Any message of a type of the contract, for hypothesis: with any of its fields, filled with anything."""

from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

M = TypeVar("M", bound=Message)
_DEEPEST = 6  # messages in one another
_MOST = 3  # of what may be repeated
_WHOLE = st.integers(-(2**31), 2**31 - 1)
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=5),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_INT32: _WHOLE,
    FieldDescriptor.TYPE_INT64: _WHOLE,
    FieldDescriptor.TYPE_ENUM: st.just(0),
}


@st.composite
def messages(draw: st.DrawFn, kind: type[M]) -> M:
    """Any message of a type."""
    made = kind()
    _fill(draw, made, _DEEPEST)
    return made


def _fill(draw: st.DrawFn, message: Any, depth: int) -> None:
    descriptor: Descriptor = message.DESCRIPTOR
    fields = [field for field in descriptor.fields if depth or field.message_type is None]
    if not fields:
        return
    chosen = draw(st.lists(st.sampled_from(fields), max_size=len(fields), unique_by=lambda f: f.name))
    for field in chosen:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _fill_map(draw, getattr(message, field.name), field, depth)
        elif field.is_repeated:
            for _ in range(draw(st.integers(0, _MOST))):
                _add(draw, getattr(message, field.name), field, depth)
        elif field.message_type is not None:
            given = getattr(message, field.name)
            given.SetInParent()
            _fill(draw, given, depth - 1)
        else:
            setattr(message, field.name, draw(_SCALARS[field.type]))


def _add(draw: st.DrawFn, many: Any, field: FieldDescriptor, depth: int) -> None:
    if field.message_type is None:
        many.append(draw(_SCALARS[field.type]))
    else:
        _fill(draw, many.add(), depth - 1)


def _fill_map(draw: st.DrawFn, entries: Any, field: FieldDescriptor, depth: int) -> None:
    assert field.message_type is not None
    value = field.message_type.fields_by_name["value"]
    for key in draw(st.lists(st.text("abc", max_size=2), max_size=_MOST, unique=True)):
        if value.message_type is None:
            entries[key] = draw(_SCALARS[value.type])
        else:
            made = GetMessageClass(value.message_type)()
            _fill(draw, made, depth - 1)
            entries[key].CopyFrom(made)
