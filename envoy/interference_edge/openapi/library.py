"""The contract as its OpenAPI document needs it: messages, calls and comments by their full names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from interference.v1 import form_pb2
from interference_edge import contract as contracts
from interference_edge.contract import PACKAGE, STREAM_SUFFIX
from interference_edge.openapi import comments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from interference_edge.contract import Messages, Route

_Files = list[descriptor_pb2.FileDescriptorProto]
ERROR = f"{PACKAGE}.ErrorResponse"


@dataclass(frozen=True)
class Library:
    """Everything by its full name; a call is `interference.v1.Chat/CreateCompletion`."""

    routes: tuple[Route, ...]
    messages: Messages
    comments: Mapping[str, str]
    output: Mapping[str, str]  # the message that a call answers with
    streams: Mapping[str, str]  # the streaming sibling of a call that has one
    requests: frozenset[str]  # the messages that bodies hold
    answers: frozenset[str]  # those that answers hold
    resources: frozenset[str]  # those of them that always have all of their fields


def read(descriptor: bytes) -> Library:
    """Reads a serialized FileDescriptorSet that has its imports and the comments of the contract."""
    files = list(descriptor_pb2.FileDescriptorSet.FromString(descriptor).file)
    # By service, so that the order of the files decides nothing.
    routes = tuple(sorted(contracts.read(descriptor).routes, key=lambda route: route.rpc.partition("/")[0]))
    messages = dict(contracts.all_messages(files))
    output = dict(_output(files))
    streams = _streams(files, routes)
    answers = {output[rpc] for rpc in (*(route.rpc for route in routes), *streams.values())}
    resources = {output[route.rpc] for route in routes if route.method == "GET"}
    return Library(
        routes=routes,
        messages=messages,
        comments=comments.read(file for file in files if file.package == PACKAGE),
        output=output,
        streams=streams,
        requests=_within((route.request for route in routes if route.lifted), messages),
        answers=_within([*answers, ERROR], messages),
        resources=_within(resources, messages),
    )


def simple(name: str) -> str:
    """A full name's last part."""
    return name.rpartition(".")[2]


def _methods(files: _Files) -> Iterator[tuple[str, descriptor_pb2.MethodDescriptorProto]]:
    for file in (file for file in files if file.package == PACKAGE):
        for service in file.service:
            for method in service.method:
                yield f"{PACKAGE}.{service.name}/{method.name}", method


def _output(files: _Files) -> Iterator[tuple[str, str]]:
    for rpc, method in _methods(files):
        yield rpc, method.output_type.removeprefix(".")


def _streams(files: _Files, routes: Iterable[Route]) -> dict[str, str]:
    by_path = {method.options.Extensions[annotations_pb2.http].post: rpc for rpc, method in _methods(files)}
    return {route.rpc: by_path[route.path + STREAM_SUFFIX] for route in routes if route.stream_path}


def _bare(field: descriptor_pb2.FieldDescriptorProto) -> bool:
    """Whether JSON gives the field's messages as bare values."""
    return bool(field.options.Extensions[form_pb2.form].numbers)


def _within(names: Iterable[str], messages: Messages) -> frozenset[str]:
    """The messages with these names, and those of ours that JSON shows in them as objects."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found or not name.startswith(f"{PACKAGE}."):
            continue
        if not messages[name].options.map_entry:
            found.add(name)
        waiting += [field.type_name.removeprefix(".") for field in messages[name].field if not _bare(field)]
    return frozenset(found)
