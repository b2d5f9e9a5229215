"""The OpenAPI document: fresh, valid, complete, and in each form what REST callers see."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING, Any

import pytest
from google.api import field_behavior_pb2
from openapi_spec_validator import OpenAPIV31SpecValidator

from interference_edge import contract
from interference_edge.openapi import comments as openapi_comments
from interference_edge.openapi import document as openapi
from interference_edge.openapi import facts as openapi_facts
from interference_edge.openapi import library as openapi_library
from tests.envoy.lua_edge import LuaEdge
from tests.envoy.real_envoy import DESCRIPTOR, ROOT, Edge

if TYPE_CHECKING:
    from pathlib import Path

COMMITTED = ROOT / "gen" / "openapi.json"
INT32 = {"format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}
TOKENS = {"type": "array", "items": {"type": "integer", **INT32}, "minItems": 1}


@pytest.fixture(scope="module")
def descriptor(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The contract with its comments."""
    out: Path = tmp_path_factory.mktemp("descriptor") / "descriptor.binpb"
    files = sorted(str(path.relative_to(ROOT / "proto")) for path in ROOT.glob("proto/interference/v1/*"))
    options = [f"-I{ROOT / 'proto'}", f"-I{sysconfig.get_path('purelib')}", f"--descriptor_set_out={out}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", *options]
    subprocess.run([*command, "--include_imports", "--include_source_info", *files], check=True, timeout=60)
    return out.read_bytes()


@pytest.fixture(scope="module")
def document(descriptor: bytes) -> Any:
    return openapi.document(descriptor)


@pytest.fixture(scope="module")
def schemas(document: Any) -> Any:
    return document["components"]["schemas"]


def test_the_committed_document_is_fresh(descriptor: bytes) -> None:
    assert COMMITTED.read_text(encoding="utf-8") == openapi.render(descriptor), "run make generate"


def test_the_command_line_prints_the_document(descriptor: bytes, tmp_path: Path) -> None:
    file = tmp_path / "descriptor.binpb"
    file.write_bytes(descriptor)
    command = [sys.executable, "-m", "interference_edge.openapi", "--descriptor", str(file)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30, cwd=ROOT)
    assert done.stdout.decode() == openapi.render(descriptor)


def test_a_descriptor_without_comments_is_refused() -> None:
    with pytest.raises(ValueError, match="include_source_info"):
        openapi.render(DESCRIPTOR.read_bytes())


def test_the_document_is_valid(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: Any) -> None:
    text = json.dumps(document)
    for section in ("schemas", "responses", "headers"):
        for name in document["components"][section]:
            assert f'"#/components/{section}/{name}"' in text


def test_every_route_is_in_it_and_nothing_else(document: Any) -> None:
    routes = {
        (route.method.lower(), route.path.replace("=**", ""))
        for route in contract.read(DESCRIPTOR.read_bytes()).routes
    }
    paths = document["paths"]
    told = {(name, path) for path, item in paths.items() for name in item if name != "servers"}
    assert told == routes | {("get", "/openapi.json")}


def test_every_operation_has_an_id_of_its_own_and_says_how_it_fails(document: Any) -> None:
    operations = [
        call for item in document["paths"].values() for name, call in item.items() if name != "servers"
    ]
    assert len({call["operationId"] for call in operations}) == len(operations)
    assert all({"400", "403", "405", "431"} <= call["responses"].keys() for call in operations)


def test_everything_is_described(document: Any, schemas: Any) -> None:
    for name, schema in schemas.items():
        assert schema["description"], name
        assert [key for key, value in schema["properties"].items() if not _told(value)] == [], name
    assert all(tag["description"] for tag in document["tags"])


def _told(schema: Any) -> bool:
    return "description" in schema or "const" in schema


REQUESTS = [
    pytest.param(
        "CreateCompletionRequest", "model", {"type": "string", "minLength": 1, "maxLength": 256}, id="model"
    ),
    pytest.param(
        "CreateCompletionRequest",
        "temperature",
        {"type": ["number", "null"], "format": "double"},
        id="double",
    ),
    pytest.param("CreateCompletionRequest", "logprobs", {"type": ["boolean", "null"]}, id="bool"),
    pytest.param(
        "CreateCompletionRequest", "top_logprobs", {"type": ["integer", "null"], **INT32}, id="int32"
    ),
    pytest.param(
        "CreateCompletionRequest",
        "n",
        {"type": ["integer", "null"], "format": "int32", "minimum": 1, "maximum": 128},
        id="a limit of the server's own",
    ),
    pytest.param(
        "CreateCompletionRequest",
        "seed",
        {
            "anyOf": [
                {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1},
                {"type": "string", "pattern": "^-?[0-9]{1,18}$"},
                {"type": "null"},
            ]
        },
        id="int64",
    ),
    pytest.param(
        "CreateCompletionRequest",
        "provider",
        {"anyOf": [*openapi_facts.PROVIDERS["anyOf"], {"type": "null"}]},
        id="split, under its json_name",
    ),
    pytest.param(
        "CreateCompletionRequest",
        "stop",
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
                {"type": "null"},
            ]
        },
        id="strings",
    ),
    pytest.param(
        "CreateCompletionRequest",
        "metadata",
        {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
        id="map",
    ),
    pytest.param(
        "CreateCompletionRequest",
        "tool_choice",
        {
            "anyOf": [
                {"type": "string"},
                {"$ref": "#/components/schemas/ToolChoice"},
                {"type": "null"},
            ]
        },
        id="shorthand",
    ),
    pytest.param(
        "ChatMessage",
        "content",
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"$ref": "#/components/schemas/ContentPart"}},
                {"type": "null"},
            ]
        },
        id="shorthand of a list",
    ),
    pytest.param("FunctionDefinition", "parameters", {}, id="text"),
    pytest.param("ToolCallInput", "extra", {"type": ["object", "null"]}, id="a Struct"),
    pytest.param("Tool", "type", {"type": ["string", "null"]}, id="what says which case, optional"),
    pytest.param(
        "CreateTextCompletionRequest",
        "prompt",
        {
            "anyOf": [
                {"type": "string"},
                TOKENS,
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2048},
                {"type": "array", "items": TOKENS, "minItems": 1, "maxItems": 2048},
            ]
        },
        id="numbers",
    ),
    pytest.param(
        "GenerateImagesRequest",
        "stream",
        {"type": ["boolean", "null"], "enum": [False, None]},
        id="a single value",
    ),
]


@pytest.mark.parametrize(("message", "name", "schema"), REQUESTS)
def test_a_request_field_has_the_form_that_rest_callers_send(
    schemas: Any, message: str, name: str, schema: Any
) -> None:
    told = dict(schemas[message]["properties"][name])
    assert told.pop("description")
    told.pop("deprecated", None)
    assert told == schema


def test_json_text_is_told_to_be_the_value_itself(schemas: Any) -> None:
    parameters = schemas["FunctionDefinition"]["properties"]["parameters"]
    assert parameters["description"].endswith("Over REST it is no text but the JSON value itself.")


@pytest.mark.parametrize(
    ("message", "name", "limits"),
    [
        ("CreateCompletionRequest", "timeout", {"minimum": 0.001, "maximum": 3600}),
        ("TimeLimits", "first_content", {"minimum": 0.001, "maximum": 3600}),
        ("TimeLimits", "total", {"minimum": 0.001, "maximum": 3600}),
        ("Hedge", "delay", {"minimum": 0, "maximum": 3600}),
    ],
)
def test_times_have_their_limits(schemas: Any, message: str, name: str, limits: Any) -> None:
    told = schemas[message]["properties"][name]
    known = {"type": ["number", "null"], "format": "double", **limits}
    assert {key: value for key, value in told.items() if key != "description"} == known


@pytest.mark.parametrize("message", ["TimeLimits", "Hedge"])
def test_members_that_nobody_could_be_sent_are_refused(schemas: Any, message: str) -> None:
    assert schemas[message]["additionalProperties"] is False


def test_members_that_a_request_does_not_know_are_taken(schemas: Any) -> None:
    request = schemas["CreateCompletionRequest"]
    assert "extra_json" not in json.dumps(schemas)
    assert request["additionalProperties"] is True
    assert "deprecated" in request["properties"]["functions"]
    assert request["required"] == ["model", "messages"]


def test_a_part_is_of_one_kind_or_of_one_that_is_not_known(schemas: Any) -> None:
    *known, unknown = schemas["ContentPart"]["anyOf"]
    assert [case["title"] for case in known] == ["text", "image_url", "input_audio", "file", "refusal"]
    assert known[0]["properties"]["image_url"] == {"type": "null"}
    assert set(unknown["not"]["propertyNames"]["enum"]) == schemas["ContentPart"]["properties"].keys()


def test_a_resource_has_all_of_its_fields_and_another_answer_those_that_are_always_there(
    schemas: Any,
) -> None:
    assert set(schemas["Model"]["required"]) == schemas["Model"]["properties"].keys() - {"context_length"}
    assert schemas["Choice"]["required"] == ["index", "message"]
    assert "required" not in schemas["Usage"]


def test_what_may_be_unset_is_not_always_there(schemas: Any) -> None:
    assert schemas["Health"]["required"] == ["provider", "model", "state", "reason"]


def test_an_answer_tells_of_its_attempts(schemas: Any) -> None:
    attempts = schemas["Routing"]["properties"]["attempts"]
    assert attempts["items"] == {"$ref": "#/components/schemas/Attempt"}
    assert schemas["Attempt"]["required"] == ["provider"]
    for answer in ("ChatCompletion", "ChatCompletionChunk", "TextCompletion", "GenerateImagesResponse"):
        assert schemas[answer]["properties"]["routing"]["$ref"] == "#/components/schemas/Routing"


MODEL_CALLS = [
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/images/generate",
]


@pytest.mark.parametrize("path", MODEL_CALLS)
def test_a_model_call_takes_a_time_limit_and_tells_who_was_asked(document: Any, path: str) -> None:
    post = document["paths"][path]["post"]
    assert [(one["name"], one["in"]) for one in post["parameters"]] == [("x-request-timeout", "header")]
    told = {"x-interference-provider", "x-interference-model", "x-interference-attempts"}
    assert post["responses"]["200"]["headers"].keys() == told
    for status in ("404", "429", "503", "504"):
        name = post["responses"][status]["$ref"].rpartition("/")[2]
        assert "x-interference-attempts" in document["components"]["responses"][name]["headers"]


def test_other_calls_take_none(document: Any) -> None:
    get = document["paths"]["/v1/models"]["get"]
    assert "parameters" not in get
    assert "headers" not in get["responses"]["200"]


@pytest.mark.parametrize("value", ["2", "0.5", "500ms", "1.5m", "1e3", ".5", "5h", "-1", ""])
def test_the_time_limit_is_described_as_the_edge_reads_it(document: Any, value: str) -> None:
    parameter = document["paths"]["/v1/messages"]["post"]["parameters"][0]
    _, wrong = LuaEdge().time_limit(None, value.encode())
    assert bool(re.search(parameter["schema"]["pattern"], value)) is (wrong is None)


def test_two_fields_that_are_shown_under_one_name_are_one_property(schemas: Any) -> None:
    embedding = schemas["Embedding"]["properties"]["embedding"]
    assert [one["type"] for one in embedding["anyOf"]] == ["array", "string"]
    assert "embedding_base64" not in schemas["Embedding"]["properties"]


def test_an_error_has_all_four_members(schemas: Any) -> None:
    error = schemas["Error"]
    assert set(error["required"]) == error["properties"].keys() == {"message", "type", "param", "code"}
    assert error["properties"]["param"]["type"] == ["string", "null"]


def answer(document: Any, path: str, method: str = "post", status: str = "200") -> Any:
    return document["paths"][path][method]["responses"][status]


@pytest.mark.parametrize(
    ("path", "whole", "chunk"),
    [
        ("/v1/chat/completions", "ChatCompletion", "ChatCompletionChunk"),
        ("/v1/completions", "TextCompletion", "TextCompletion"),
    ],
)
def test_a_streaming_sibling_is_another_content_type_of_its_path(
    document: Any, path: str, whole: str, chunk: str
) -> None:
    content = answer(document, path)["content"]
    assert content["application/json"]["schema"] == {"$ref": f"#/components/schemas/{whole}"}
    event, done = content["text/event-stream"]["schema"]["properties"]["data"]["anyOf"]
    assert [one["$ref"].rpartition("/")[2] for one in event["contentSchema"]["anyOf"]] == [
        chunk,
        "ErrorResponse",
    ]
    assert done == {"const": "[DONE]"}
    chunks = document["components"]["schemas"][chunk]["properties"]
    assert not {"error", "attempts"} & chunks.keys()


def test_a_stream_without_a_sibling_is_a_list(document: Any) -> None:
    schema = answer(document, "/v1/providers", "get")["content"]["application/json"]["schema"]
    assert schema == {"type": "array", "items": {"$ref": "#/components/schemas/Provider"}}


def test_an_image_is_a_file(document: Any) -> None:
    get = document["paths"]["/media/{name}"]["get"]
    assert get["security"] == []
    assert get["responses"]["200"]["content"].keys() >= {"image/png", "image/jpeg", "image/webp"}
    assert {"304", "404"} <= get["responses"].keys()
    assert "401" not in get["responses"]


@pytest.mark.parametrize(
    ("path", "required"),
    [
        ("/v1/responses", ["model", "input"]),
        ("/v1/messages", ["model", "messages", "max_tokens"]),
    ],
)
def test_a_body_in_a_vendors_dialect_is_described_by_its_vendor(
    document: Any, path: str, required: list[str]
) -> None:
    post = document["paths"][path]["post"]
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    assert (schema["required"], schema["additionalProperties"]) == (required, True)
    assert post["externalDocs"]["url"].startswith("https://")
    assert post["responses"]["200"]["content"].keys() == {"application/json", "text/event-stream"}


def test_errors_have_the_shape_that_the_callers_of_a_path_know(document: Any) -> None:
    responses = document["components"]["responses"]
    for path, schema in (
        ("/v1/messages", "AnthropicErrorResponse"),
        ("/v1/responses", "ErrorResponse"),
    ):
        name = answer(document, path, status="429")["$ref"].rpartition("/")[2]
        content = responses[name]["content"]["application/json"]
        assert content["schema"] == {"$ref": f"#/components/schemas/{schema}"}
        assert "retry-after" in responses[name]["headers"]


def test_the_provider_may_stand_in_the_base_url(document: Any) -> None:
    any_provider, named = document["servers"]
    assert (any_provider["url"], named["url"]) == ("/", "/api/{provider}")
    assert [path for path, item in document["paths"].items() if "servers" in item] == [
        "/media/{name}",
        "/openapi.json",
    ]


def test_a_key_may_be_shown(document: Any) -> None:
    assert document["security"] == [{"bearerAuth": []}, {"apiKeyAuth": []}, {}]
    assert document["components"]["securitySchemes"]["bearerAuth"]["scheme"] == "bearer"


def test_every_fact_is_about_a_field_that_there_is(descriptor: bytes) -> None:
    messages = openapi_library.read(descriptor).messages
    ours = {name.rpartition(".")[2]: found for name, found in messages.items() if "interference" in name}
    fields = {f"{name}.{field.name}" for name, found in ours.items() for field in found.field}
    assert openapi_facts.LIMITS.keys() | openapi_facts.NULL <= fields
    assert {f"{name}.{field}" for name, some in openapi_facts.ALWAYS.items() for field in some} <= fields
    assert openapi_facts.EXCLUSIVE | openapi_facts.TOGETHER.keys() <= ours.keys()


def test_a_field_is_required_where_its_comment_says_it(descriptor: bytes) -> None:
    library = openapi_library.read(descriptor)
    for name, message in library.messages.items():
        for field in message.field:
            behaviors = field.options.Extensions[field_behavior_pb2.field_behavior]
            told = library.comments.get(f"{name}.{field.name}", "").endswith("Required.")
            assert (field_behavior_pb2.REQUIRED in behaviors) is told, f"{name}.{field.name}"


@pytest.mark.parametrize(
    ("comment", "summary"),
    [
        ("Makes images.\n\nErrors: those of Chat.", "Makes images."),
        ("1.5 of them. Or more.", "1.5 of them."),
        ("For `a.b`, as\nsaid. `x` too.", "For `a.b`, as said."),
        ("Of Groq\nhttps://a.example/b", "Of Groq"),
    ],
)
def test_a_summary_is_the_first_sentence(comment: str, summary: str) -> None:
    assert openapi_comments.summary(comment) == summary


def test_envoy_serves_the_document(edge: Edge) -> None:
    answer = edge("GET", "/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.body == COMMITTED.read_bytes()
    assert edge("POST", "/openapi.json", {}).headers["allow"] == "GET"
