"""The contract as Envoy's transcoder reads it: `python -m interference_edge.transcoder --descriptor FILE >
gen/transcoder.binpb`.

The transcoder reads the bodies of requests. Answers to them the server writes itself, as JSON or events,
and the transcoder passes them on: printing took half of Envoy's time, and each event of a stream a message
of its own. So a call that takes a body returns a `google.api.HttpBody` here.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/grpc_json_transcoder_filter
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf import descriptor_pb2

from interference_edge.contract import HTTP_BODY, PACKAGE, takes_body

if TYPE_CHECKING:
    from collections.abc import Mapping

_File = descriptor_pb2.FileDescriptorProto
_HTTP_BODY_FILE = "google/api/httpbody.proto"


def contract(descriptor: bytes) -> bytes:
    """The FileDescriptorSet of the contract in which calls that take a body return an HttpBody."""
    known = descriptor_pb2.FileDescriptorSet.FromString(descriptor)
    for file in known.file:
        if file.package == PACKAGE:
            _change(file)
    files = {file.name: file for file in known.file}
    found: dict[str, _File] = {}
    for name in files:
        _add(name, files, found)
    return descriptor_pb2.FileDescriptorSet(file=found.values()).SerializeToString(deterministic=True)


def _change(file: _File) -> None:
    for service in file.service:
        for method in service.method:
            if takes_body(method.options):
                method.output_type = f".{HTTP_BODY}"
                if _HTTP_BODY_FILE not in file.dependency:
                    file.dependency.append(_HTTP_BODY_FILE)


def _add(name: str, files: Mapping[str, _File], found: dict[str, _File]) -> None:
    """Puts a file behind those that it imports."""
    if name not in found:
        for imported in files[name].dependency:
            _add(imported, files, found)
        found[name] = files[name]


def main() -> None:
    """Reads the descriptor that the command line names; writes the other to the standard output."""
    parser = argparse.ArgumentParser(prog="python -m interference_edge.transcoder", description=__doc__)
    parser.add_argument("--descriptor", type=Path, required=True, help="a descriptor set with its imports")
    sys.stdout.buffer.write(contract(parser.parse_args().descriptor.read_bytes()))


if __name__ == "__main__":
    main()
