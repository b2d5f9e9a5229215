"""What the edge reads from the descriptor: the routes, and how each message is lifted."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2

from interference.v1 import form_pb2
from interference_edge import contract
from interference_edge.contract import Member
from tests.envoy.lua_edge import CHAT, LuaEdge
from tests.envoy.real_envoy import DESCRIPTOR

CONTRACT = contract.read(DESCRIPTOR.read_bytes())
Field = descriptor_pb2.FieldDescriptorProto


PROVIDERS = Member("providers", "a string", split=True, repeated=True)


def test_every_message_of_a_request_has_a_place_for_unknown_members() -> None:
    assert CHAT in CONTRACT.shapes
    assert [name for name, shape in CONTRACT.shapes.items() if not shape.extra] == []


def test_no_known_name_is_the_place_for_unknown_members() -> None:
    assert not any(contract.EXTRA in shape.members for shape in CONTRACT.shapes.values())


def test_the_routes_are_the_contracts() -> None:
    routes = {f"{route.method} {route.path}": route for route in CONTRACT.routes}
    assert {
        "GET /media/{name}",
        "GET /v1/models",
        "GET /v1/models/{model=**}",
        "GET /v1/providers",
        "GET /v1/providers/{provider}",
        "POST /v1/chat/completions",
        "POST /v1/images/generate",
        "POST /v1/images/generations",
        "POST /v1/media/generate",
    } <= routes.keys()
    chat = routes["POST /v1/chat/completions"]
    assert (chat.request, chat.stream_path) == (CHAT, "/v1/chat/completions:stream")
    assert routes["GET /media/{name}"].http_body
    assert routes["GET /v1/providers"].server_streaming


def test_a_streaming_sibling_is_no_route_of_its_own() -> None:
    assert not [route for route in CONTRACT.routes if route.path.endswith(":stream")]


@pytest.mark.parametrize(
    ("message", "name", "member"),
    [
        pytest.param("CreateCompletionRequest", "model", Member("model", "a string"), id="a scalar"),
        pytest.param("CreateCompletionRequest", "provider", PROVIDERS, id="a json_name"),
        pytest.param("CreateCompletionRequest", "providers", PROVIDERS, id="its field"),
        pytest.param(
            "CreateCompletionRequest",
            "metadata",
            Member("metadata", "an object", map=True, values="a string"),
            id="map",
        ),
        pytest.param("FunctionDefinition", "parameters", Member("parameters", text=True), id="text"),
        pytest.param("ToolCall", "extra", Member("extra"), id="a foreign message"),
        pytest.param(
            "ChatMessage",
            "content",
            Member(
                "content",
                "an object",
                message="interference.v1.ContentPart",
                repeated=True,
                shorthand="text",
            ),
            id="a list with a shorthand",
        ),
    ],
)
def test_a_member_is_described(message: str, name: str, member: Member) -> None:
    assert CONTRACT.shapes[f"interference.v1.{message}"].members[name] == member


def test_a_camel_case_name_is_not_known() -> None:
    assert "maxTokens" not in CONTRACT.shapes[CHAT].members


def changed(message: str, *fields: Field) -> bytes:
    """The descriptor with more fields in one message."""
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTOR.read_bytes())
    for file in files.file:
        for found in file.message_type:
            if f"{file.package}.{found.name}" == message:
                found.field.extend(fields)
    return files.SerializeToString()


def test_a_new_field_needs_no_lua() -> None:
    words = Field(name="new_words", number=900, type=Field.TYPE_STRING, label=Field.LABEL_REPEATED)
    words.options.Extensions[form_pb2.form].split = True
    tool = Field(
        name="new_tool",
        number=901,
        type=Field.TYPE_MESSAGE,
        type_name=".interference.v1.Tool",
        json_name="tool",
    )
    edge = LuaEdge(contract.read(changed(CHAT, words, tool)))
    text, _ = edge.lift(b'{"new_words":"a b","tool":{"x":1}}')
    assert text == b'{"new_words":["a","b"],"new_tool":{"extra_json":"{\\"x\\":1}"}}'


def test_a_message_without_the_place_keeps_unknown_members_where_they_are() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTOR.read_bytes())
    for file in files.file:
        for message in file.message_type:
            for field in [found for found in message.field if found.name == contract.EXTRA]:
                message.field.remove(field)
    edge = LuaEdge(contract.read(files.SerializeToString()))
    text, _ = edge.lift(b'{"x":1,"provider":"A","x":2}')
    assert text == b'{"x":2,"providers":["A"]}'


def test_a_message_that_contains_itself_is_refused() -> None:
    again = Field(
        name="again", number=900, type=Field.TYPE_MESSAGE, type_name=".interference.v1.ChatMessage"
    )
    with pytest.raises(ValueError, match="ChatMessage contains itself"):
        contract.read(changed("interference.v1.ChatMessage", again))
