"""The messages of the contract as JSON Schemas: what REST callers may send, and what they get.

https://spec.openapis.org/oas/v3.1.0#schema-object
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.api.field_behavior_pb2 import REQUIRED, field_behavior
from google.protobuf import descriptor_pb2

from interference.v1 import form_pb2
from interference_edge.contract import EXTRA, PACKAGE, rest_name
from interference_edge.openapi import comments, facts
from interference_edge.openapi.library import ERROR, simple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from interference_edge.openapi.facts import Schema
    from interference_edge.openapi.library import Library

_Field = descriptor_pb2.FieldDescriptorProto
_STRUCT = "google.protobuf.Struct"
_ERROR = f".{PACKAGE}.Error"
_INTEGERS: dict[int, tuple[str, int, int]] = {
    _Field.TYPE_INT32: ("int32", -(2**31), 2**31 - 1),
    _Field.TYPE_UINT32: ("uint32", 0, 2**32 - 1),
    _Field.TYPE_INT64: ("int64", -(2**63), 2**63 - 1),
}
_ITSELF = " Over REST it is no text but the JSON value itself."
_DIGITS = "^-?[0-9]{1,18}$"


def components(library: Library) -> dict[str, Schema]:
    """All schemas, by name."""
    found = {simple(name): _answer(library, name) for name in library.answers}
    found |= {_request_name(library, name): _request(library, name) for name in library.requests}
    return dict(sorted(found.items()))


def request(library: Library, name: str) -> Schema:
    """A reference to the schema of a message that callers send."""
    return {"$ref": f"#/components/schemas/{_request_name(library, name)}"}


def answer(name: str) -> Schema:
    """A reference to the schema of a message that callers get."""
    return {"$ref": f"#/components/schemas/{simple(name)}"}


def described(library: Library, name: str) -> Schema:
    """The description of a service, a message or a field, and where its vendor describes it."""
    text, address = comments.link(library.comments.get(name, ""))
    schema: Schema = {"description": text} if text else {}
    if text.startswith("Deprecated"):
        schema["deprecated"] = True
    if address:
        schema["externalDocs"] = {"url": address}
    return schema


def _request_name(library: Library, name: str) -> str:
    return f"{simple(name)}Input" if name in library.answers else simple(name)


# --- What callers send -----------------------------------------------------------------------------


def _request(library: Library, name: str) -> Schema:
    """An object; null stands for a field that is not given, except where it must be."""
    message = library.messages[name]
    properties: dict[str, Schema] = {}
    required = []
    for field in message.field:
        if field.name == EXTRA:
            continue
        told = described(library, f"{name}.{field.name}")
        if field.options.Extensions[form_pb2.form].text:
            told["description"] += _ITSELF
        schema = _sent(library, simple(name), field)
        wanted = REQUIRED in field.options.Extensions[field_behavior]
        if wanted:
            required.append(rest_name(field))
            schema = _not_empty(schema)
        properties[rest_name(field)] = told | (schema if wanted else _nullable(schema))
    unknown = any(field.name == EXTRA for field in message.field)
    others = {"additionalProperties": simple(name) not in facts.CLOSED} if unknown else {}
    return {
        "type": "object",
        **described(library, name),
        "properties": properties,
        **({"required": required} if required else {}),
        **others,
        **_together(simple(name), message, properties),
    }


def _sent(library: Library, owner: str, field: _Field) -> Schema:
    limits = facts.LIMITS.get(f"{owner}.{field.name}", {})
    form = field.options.Extensions[form_pb2.form]
    if form.text:
        return {}
    if form.split:
        return facts.PROVIDERS
    if form.numbers:
        tokens = _list(_number(_Field.TYPE_INT32)) | {"minItems": 1}
        text: Schema = {"type": "string"}
        return _any(text, tokens, *(_list(one) | limits for one in (text, tokens)))
    one = _sent_one(library, field)
    if field.label != _Field.LABEL_REPEATED or _is_map(library, field):
        return _any({"type": "string"}, one) if form.shorthand else one | limits
    many = _list(one) | limits
    # The transcoder takes a bare string for a list of one.
    bare = form.shorthand or field.type == _Field.TYPE_STRING
    return _any({"type": "string"}, many) if bare else many


def _sent_one(library: Library, field: _Field) -> Schema:
    if field.type != _Field.TYPE_MESSAGE:
        number = _number(field.type) if field.type in _INTEGERS else _scalar(field)
        # Not every language has integers of 64 bits.
        digits: Schema = {"type": "string", "pattern": _DIGITS}
        return _any(number, digits) if field.type == _Field.TYPE_INT64 else number
    name = field.type_name.removeprefix(".")
    if _is_map(library, field):
        value = next(part for part in library.messages[name].field if part.name == "value")
        return {"type": "object", "additionalProperties": _sent_one(library, value)}
    return {"type": "object"} if name == _STRUCT else request(library, name)


def _together(name: str, message: descriptor_pb2.DescriptorProto, properties: Iterable[str]) -> Schema:
    if name not in facts.EXCLUSIVE:
        return facts.TOGETHER.get(name, {})
    says = message.options.Extensions[form_pb2.discriminator]
    nulls = {case: {"type": "null"} for case in says.cases}
    # A kind of part that is not known here goes to the provider as it is.
    unknown: Schema = {"not": {"propertyNames": {"enum": sorted(properties)}}, "properties": nulls}
    return {"anyOf": [*_cases(says), unknown]}


def _cases(says: form_pb2.Discriminator) -> Iterator[Schema]:
    """One alternative for each case: it is given, the others are not, and no other is said to be."""
    for case in says.cases:
        others = [other for other in says.cases if other != case]
        properties: dict[str, Schema] = {case: {"not": {"type": "null"}}}
        properties[says.field] = {"not": {"enum": others}}
        properties |= {other: {"type": "null"} for other in others}
        yield {"title": case, "required": [case], "properties": properties}


# --- What callers get ------------------------------------------------------------------------------


def _answer(library: Library, name: str) -> Schema:
    message = library.messages[name]
    always = facts.ALWAYS.get(simple(name), ())
    properties: dict[str, Schema] = {}
    ends_streams = name != ERROR and any(field.type_name == _ERROR for field in message.field)
    for field in message.field:
        form = field.options.Extensions[form_pb2.form]
        if field.name == EXTRA or (ends_streams and _tells_the_end(field)):
            continue
        schema = described(library, f"{name}.{field.name}") | _got(library, name, field)
        shown = form.printed or field.name
        properties[shown] = _either(properties[shown], schema) if shown in properties else schema
    if name in library.resources:
        # A field that may be unset is left out when it is.
        scalar = [
            field.name
            for field in message.field
            if field.type != _Field.TYPE_MESSAGE and not field.proto3_optional
        ]
        lists = [field.name for field in message.field if field.label == _Field.LABEL_REPEATED]
        always = tuple(shown for shown in properties if shown in (*scalar, *lists))
    return {
        "type": "object",
        **described(library, name),
        "properties": properties,
        **({"required": list(always)} if always else {}),
    }


def _tells_the_end(field: _Field) -> bool:
    """Whether a field of a chunk is for the end of a stream that failed, which has a schema of its own."""
    return field.type_name in (_ERROR, f".{PACKAGE}.Attempt")


def _got(library: Library, owner: str, field: _Field) -> Schema:
    name = field.type_name.removeprefix(".")
    if _is_map(library, field):
        [value] = [one for one in library.messages[name].field if one.name == "value"]
        return {"type": "object", "additionalProperties": _got(library, name, value)}
    if field.type != _Field.TYPE_MESSAGE:
        one = _scalar(field)
    else:
        one = {"type": "object"} if name == _STRUCT else answer(name)
    if f"{simple(owner)}.{field.name}" in facts.NULL:
        one = _nullable(one)
    return _list(one) if field.label == _Field.LABEL_REPEATED else one


# --- Pieces ----------------------------------------------------------------------------------------


def _scalar(field: _Field) -> Schema:
    if field.type == _Field.TYPE_BOOL:
        return {"type": "boolean"}
    if field.type == _Field.TYPE_DOUBLE:
        return {"type": "number", "format": "double"}
    if field.type in _INTEGERS:
        return {"type": "integer", "format": _INTEGERS[field.type][0]}
    return {"type": "string"}


def _number(kind: int) -> Schema:
    name, low, high = _INTEGERS[kind]
    return {"type": "integer", "format": name, "minimum": low, "maximum": high}


def _list(one: Schema) -> Schema:
    return {"type": "array", "items": one}


def _any(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def _either(first: Schema, second: Schema) -> Schema:
    """A property that two fields are shown as."""
    told = " ".join(schema.pop("description", "") for schema in (first, second)).strip()
    return {"description": told, **_any(first, second)}


def _nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    if "anyOf" in schema:
        return _any(*schema["anyOf"], {"type": "null"})
    if "type" not in schema:  # a reference, or anything
        return _any(schema, {"type": "null"}) if schema else {}
    schema = schema | {"type": [schema["type"], "null"]}
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    if "const" in schema:
        schema["enum"] = [schema.pop("const"), None]
    return schema


def _not_empty(schema: Schema) -> Schema:
    """A required value: null is none, nor is an empty text."""
    if schema.get("type") == "string":
        return {"minLength": 1} | schema
    return schema or {"type": ["object", "array", "string", "number", "boolean"]}


def _is_map(library: Library, field: _Field) -> bool:
    name = field.type_name.removeprefix(".")
    return name in library.messages and library.messages[name].options.map_entry
