"""The comments of the contract, by the full name of what they stand above.

https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto (SourceCodeInfo)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from google.protobuf import descriptor_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_File = descriptor_pb2.FileDescriptorProto
_MESSAGE = _File.MESSAGE_TYPE_FIELD_NUMBER
_SERVICE = _File.SERVICE_FIELD_NUMBER
# Within a message its fields, within a service its methods: both have the number 2.
_PART = descriptor_pb2.DescriptorProto.FIELD_FIELD_NUMBER
_LINTER = "buf:lint:"
_LINK = re.compile(r"\s*^(https://\S+)$\s*", re.MULTILINE)


def read(files: Iterable[descriptor_pb2.FileDescriptorProto]) -> dict[str, str]:
    """`interference.v1.ChatMessage.role` and the like, each with its comment as paragraphs.

    Raises ValueError where the descriptor was made without `--include_source_info`.
    """
    found: dict[str, str] = {}
    for file in files:
        found.update(_of_file(file))
    if not found:
        raise ValueError("the descriptor has no comments: make it with protoc --include_source_info")
    return found


def link(comment: str) -> tuple[str, str | None]:
    """A comment without the address that has a line of its own, and that address."""
    match = _LINK.search(comment)
    if match is None:
        return comment, None
    return _LINK.sub("\n", comment).strip(), match[1]


def summary(comment: str) -> str:
    """The first sentence, on one line."""
    text = " ".join(link(comment)[0].split())
    end = re.search(r"[.](?= [A-Z`]|$)", text)
    return text[: end.end()] if end else text


def _of_file(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        name = _name(file, location.path)
        if name and location.leading_comments:
            yield f"{file.package}.{name}", _paragraphs(location.leading_comments)


def _name(file: descriptor_pb2.FileDescriptorProto, path: Iterable[int]) -> str | None:
    """What a path of numbers leads to, where it is a message, a service or a part of one."""
    match list(path):
        case [kind, place]:
            inner = None
        case [kind, place, part, inner] if part == _PART:
            pass
        case _:
            return None
    if kind == _MESSAGE:
        message = file.message_type[place]
        return message.name if inner is None else f"{message.name}.{message.field[inner].name}"
    if kind == _SERVICE:
        service = file.service[place]
        return service.name if inner is None else f"{service.name}.{service.method[inner].name}"
    return None


def _paragraphs(comment: str) -> str:
    """The lines of each paragraph joined. Addresses stay on lines of their own, words for the linter go."""
    lines = [line.strip() for line in comment.strip().splitlines()]
    text = ""
    for line in (line for line in lines if not line.startswith(_LINTER)):
        if not line or line.startswith("https://") or text.endswith("\n"):
            text += f"\n{line}"
        elif line.startswith("Errors:"):
            text += f"\n\n{line}"
        else:
            text += f" {line}" if text else line
    return text.strip()
