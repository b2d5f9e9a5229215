"""The contract as the transcoder reads it."""

import subprocess
import sys

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool

from interference_edge import transcoder
from tests.envoy.real_envoy import DESCRIPTOR

CONTRACT = DESCRIPTOR.read_bytes()


def outputs(descriptor: bytes) -> dict[str, str]:
    """What each call of ours returns."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor).file
    return {
        f"{service.name}/{method.name}": method.output_type.removeprefix(".")
        for file in files
        if file.package == "interference.v1"
        for service in file.service
        for method in service.method
    }


def test_calls_with_a_body_return_any_body_and_others_what_they_did() -> None:
    known, changed = outputs(CONTRACT), outputs(transcoder.contract(CONTRACT))
    body = {name for name, output in changed.items() if output == "google.api.HttpBody"}
    assert body == {
        *("Chat/CreateCompletion", "Chat/StreamCompletion"),
        *("Completions/CreateTextCompletion", "Completions/StreamTextCompletion"),
        *("Embeddings/CreateEmbeddings", "Images/GenerateImages", "Images/GetMedia"),
        *("Messages/CreateMessage", "Responses/CreateResponse"),
    }
    assert {name: known[name] for name in changed.keys() - body} == {
        name: changed[name] for name in changed.keys() - body
    }


def test_each_file_stands_behind_those_that_it_imports() -> None:
    pool = DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(transcoder.contract(CONTRACT)).file:
        pool.Add(file)
        assert pool.FindFileByName(file.name)
    assert pool.FindMethodByName("interference.v1.Chat.StreamCompletion").server_streaming


def test_the_command_line_writes_it() -> None:
    command = [sys.executable, "-m", "interference_edge.transcoder", "--descriptor", str(DESCRIPTOR)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30)
    assert done.stdout == DESCRIPTOR.with_name("transcoder.binpb").read_bytes()
