"""What speaks against asking a provider: fields that it lacks, values that it refuses."""

from typing import Any

import pytest

from interference.v1.chat_pb2 import CreateCompletionRequest
from interference.v1.embeddings_pb2 import CreateEmbeddingsRequest
from interference.v1.images_pb2 import GenerateImagesRequest
from interference.v1.input_pb2 import TextInput
from server import operations
from server.operations import Request
from server.profile import Profile
from server.routing import refusals
from server.rows import Row


def refused(request: Request, refuses: dict[str, Any] | None = None, **row: Any) -> list[str]:
    made = Row(id="A", driver="openai", profile=Profile(refuses=refuses or {}), **row)
    return [str(found) for found in refusals.of(made, refusals.asked(request, operations.of(request)))]


def chat(**fields: Any) -> CreateCompletionRequest:
    return CreateCompletionRequest(model="m", **fields)


def said(**part: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"text": "a"}, part]}]


def test_parameters_that_are_not_listed_are_refused_or_dropped() -> None:
    request = chat(seed=1, top_p=0.5, n=1)
    assert refused(request, params=("seed",)) == ["top_p"]
    assert refused(request, params=("seed",), unsupported="drop") == []


def test_hints_speak_against_nobody() -> None:
    assert refused(chat(prompt_cache_key="k", prompt_cache_retention="24h"), params=()) == []


@pytest.mark.parametrize(
    ("fields", "field", "value"),
    [
        pytest.param({"tool_choice": {"mode": "required"}}, "tool_choice", "required", id="a mode"),
        pytest.param({"tool_choice": {"custom": {"name": "c"}}}, "tool_choice", "custom", id="a choice"),
        pytest.param(
            {"response_format": {"type": "json_object"}}, "response_format", "json_object", id="said"
        ),
        pytest.param({"response_format": {"json_schema": {}}}, "response_format", "json_schema", id="set"),
        pytest.param({"reasoning_effort": "none"}, "reasoning_effort", "none", id="a word"),
        pytest.param({"tools": [{"function": {}}, {"custom": {}}]}, "tools", "custom", id="one of several"),
        pytest.param({"messages": said(file={"file_id": "f"})}, "content", "file", id="a part"),
    ],
)
def test_values_may_be_refused(fields: dict[str, Any], field: str, value: str) -> None:
    assert refused(chat(**fields), {field: (value,)}) == [f"{field} {value}"]
    assert refused(chat(**fields), {field: ("other",)}) == []
    assert refused(chat(), {field: (value,)}) == []


@pytest.mark.parametrize(
    ("inputs", "forms"),
    [
        pytest.param([TextInput(text="a")], [], id="a text"),
        pytest.param([TextInput(text="a"), TextInput(text="b")], ["input list"], id="texts"),
        pytest.param([TextInput(tokens=[1])], ["input tokens"], id="tokens"),
        pytest.param([TextInput(tokens=[1])] * 2, ["input list", "input tokens"], id="lists of tokens"),
    ],
)
def test_forms_of_input_may_be_refused(inputs: list[TextInput], forms: list[str]) -> None:
    request = CreateEmbeddingsRequest(model="m", input=inputs)
    assert refused(request, {"input": ("list", "tokens"), "tool_choice": ("none",)}) == forms


def test_an_images_prompt_is_one_text() -> None:
    request = GenerateImagesRequest(prompt="a city", model="m")
    assert refused(request, {"prompt": ("list", "tokens")}) == []
