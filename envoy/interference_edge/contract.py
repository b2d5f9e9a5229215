"""What the edge knows about the contract, read from the descriptor and nowhere else.

Two things: the REST routes, from `google.api.http`, and how a JSON body is lifted onto each request
message, from the fields' names, their types and their `form` option. A new field, message or route in
the contract needs no change here and none in edge.lua.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from interference.v1 import form_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Only messages of our own are walked; a foreign one (google.protobuf.Struct) is copied as it is.
PACKAGE = "interference.v1"
# Where members that a message does not know go, as JSON text. Not a name that REST callers have.
EXTRA = "extra_json"
# `<path>:stream` is the streaming sibling of `<path>`, picked by a body's `"stream": true`.
STREAM_SUFFIX = ":stream"
HTTP_BODY = "google.api.HttpBody"

_Field = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    _Field.TYPE_STRING: "a string",
    _Field.TYPE_BYTES: "a string",
    _Field.TYPE_ENUM: "a string",
    _Field.TYPE_BOOL: "true or false",
}
Messages = dict[str, descriptor_pb2.DescriptorProto]
_VERBS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Route:
    """One method and path template that REST callers may use."""

    method: str  # "GET", "POST"
    path: str  # "/v1/models/{model=**}"
    rpc: str  # "interference.v1.Models/GetModel"
    request: str  # "interference.v1.GetModelRequest"
    has_body: bool
    server_streaming: bool
    http_body: bool  # whether the contract itself has an answer of any content type
    stream_path: str | None = None  # the path that edge.lua changes to for `"stream": true`
    error_shape: str | None = None  # whose errors the callers know: "anthropic", or OpenAI's

    @property
    def lifted(self) -> bool:
        """Whether the body is JSON that is lifted onto a message of the contract."""
        return self.has_body and self.request != HTTP_BODY


@dataclass(frozen=True)
class Member:
    """How one member of a JSON object becomes a field."""

    field: str  # the name that the transcoder reads
    kind: str | None = None  # what one value is, in words: "a string"; unset where it may be anything
    text: bool = False  # any JSON value, kept as JSON text
    split: bool = False  # a bare string is split on white space
    map: bool = False
    values: str | None = None  # of a map: what each value is
    long: bool = False  # an integer of 64 bits
    message: str | None = None  # the message that an object here is lifted onto
    repeated: bool = False
    shorthand: str | None = None  # a bare string sets this field of `message`
    numbers: str | None = None  # a list of numbers does, too; elements of the list may be bare as well


@dataclass(frozen=True)
class Shape:
    """A message as JSON: its members by every name they may have."""

    members: dict[str, Member]
    extra: bool  # whether unknown members have a place to go


@dataclass(frozen=True)
class Contract:
    """The routes, and the shapes of all messages that a body of theirs may hold."""

    services: tuple[str, ...]  # those that have REST routes
    routes: tuple[Route, ...]
    shapes: dict[str, Shape] = field(default_factory=dict)

    @property
    def methods(self) -> dict[str, str]:
        """By path template, exact ones first: its methods, as an `allow` header has them."""
        found: dict[str, set[str]] = {}
        for route in sorted(self.routes, key=lambda route: "{" in route.path):
            found.setdefault(route.path, set()).add(route.method)
        return {path: ", ".join(sorted(methods)) for path, methods in found.items()}


def read(descriptor: bytes) -> Contract:
    """Derives the contract from a serialized FileDescriptorSet that includes its imports.

    Raises ValueError where a request message contains itself: the edge lifts along finite shapes.
    """
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor).file
    messages = dict(all_messages(files))
    routes = _public(list(_routes(files)))
    shapes: dict[str, Shape] = {}
    for route in routes:
        if route.lifted:
            _add_shapes(route.request, messages, shapes, ())
    services = tuple(sorted({route.rpc.partition("/")[0] for route in routes}))
    return Contract(services, tuple(routes), dict(sorted(shapes.items())))


def all_messages(
    files: Iterable[descriptor_pb2.FileDescriptorProto],
) -> Iterator[tuple[str, descriptor_pb2.DescriptorProto]]:
    """Every message by its full name, those within others too."""
    for file in files:
        for message in file.message_type:
            yield from _nested(f"{file.package}.{message.name}", message)


def _nested(
    name: str, message: descriptor_pb2.DescriptorProto
) -> Iterator[tuple[str, descriptor_pb2.DescriptorProto]]:
    yield name, message
    for child in message.nested_type:
        yield from _nested(f"{name}.{child.name}", child)


def takes_body(options: descriptor_pb2.MethodOptions) -> bool:
    """Whether REST callers send a body with a call, whose options these are."""
    return bool(options.Extensions[annotations_pb2.http].body)


def _routes(files: Iterable[descriptor_pb2.FileDescriptorProto]) -> Iterator[Route]:
    for file in files:
        if file.package != PACKAGE:
            continue
        for service in file.service:
            for method in service.method:
                yield from _bindings(f"{file.package}.{service.name}", method)


def _bindings(service: str, method: descriptor_pb2.MethodDescriptorProto) -> Iterator[Route]:
    if not method.options.HasExtension(annotations_pb2.http):
        return
    rule = method.options.Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        verb = binding.WhichOneof("pattern")
        if verb not in _VERBS:
            raise ValueError(f"{service}/{method.name}: no route can be made of {verb!r}")
        path = getattr(binding, verb)
        if binding.body not in ("", "*") or (binding.body and "{" in path):
            raise ValueError(f"{path}: the edge lifts whole bodies of fixed paths only")
        yield Route(
            method=verb.upper(),
            path=path,
            rpc=f"{service}/{method.name}",
            request=method.input_type.removeprefix("."),
            has_body=bool(binding.body),
            server_streaming=method.server_streaming,
            http_body=method.output_type == f".{HTTP_BODY}",
            error_shape=method.options.Extensions[form_pb2.error_shape] or None,
        )


def _public(routes: list[Route]) -> list[Route]:
    """Folds each streaming sibling into the route that it is a sibling of."""
    known = {(route.method, route.path) for route in routes}
    public = []
    for route in routes:
        base = route.path.removesuffix(STREAM_SUFFIX)
        if base != route.path and (route.method, base) in known:
            continue
        sibling = route.path + STREAM_SUFFIX
        has_sibling = (route.method, sibling) in known
        public.append(replace(route, stream_path=sibling if has_sibling else None))
    return public


def _add_shapes(
    name: str,
    messages: Messages,
    shapes: dict[str, Shape],
    above: tuple[str, ...],
) -> None:
    if name in above:
        raise ValueError(f"{name} contains itself: {' > '.join((*above, name))}")
    if name in shapes:
        return
    message = messages[name]
    shapes[name] = _shape(message, messages)
    for child in {member.message for member in shapes[name].members.values() if member.message}:
        _add_shapes(child, messages, shapes, (*above, name))


def _shape(message: descriptor_pb2.DescriptorProto, messages: Messages) -> Shape:
    members: dict[str, Member] = {}
    for proto_field in message.field:
        if proto_field.name == EXTRA:
            continue
        member = _member(proto_field, messages)
        members[proto_field.name] = member
        members[rest_name(proto_field)] = member
    extra = any(proto_field.name == EXTRA for proto_field in message.field)
    return Shape(dict(sorted(members.items())), extra)


def _member(
    proto_field: descriptor_pb2.FieldDescriptorProto,
    messages: Messages,
) -> Member:
    form = proto_field.options.Extensions[form_pb2.form]
    repeated = proto_field.label == _Field.LABEL_REPEATED
    if form.text:
        return Member(proto_field.name, text=True)
    if proto_field.type != _Field.TYPE_MESSAGE:
        kind = _KINDS.get(proto_field.type, "a number")
        long = proto_field.type == _Field.TYPE_INT64
        return Member(
            proto_field.name,
            kind,
            split=form.split,
            long=long,
            repeated=repeated,
        )
    type_name = proto_field.type_name.removeprefix(".")
    if messages[type_name].options.map_entry:
        value = next(part for part in messages[type_name].field if part.name == "value")
        kind = _KINDS.get(value.type, "a number")
        return Member(proto_field.name, "an object", map=True, values=kind)
    if not type_name.startswith(f"{PACKAGE}."):
        return Member(proto_field.name)
    return Member(
        proto_field.name,
        "an object",
        message=type_name,
        repeated=repeated,
        shorthand=form.shorthand or None,
        numbers=form.numbers or None,
    )


def rest_name(proto_field: descriptor_pb2.FieldDescriptorProto) -> str:
    """The name that REST callers know a field by.

    protoc writes a json_name for every field; only one that was asked for is another name.
    """
    head, *tail = proto_field.name.split("_")
    camel_case = head + "".join(word[:1].upper() + word[1:] for word in tail)
    return proto_field.name if proto_field.json_name in ("", camel_case) else proto_field.json_name
