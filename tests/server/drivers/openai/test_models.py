"""The list of models in OpenAI's dialect, and what vendors tell of a model in it."""

from typing import Any

import pytest

from server.drivers.base import Listed
from server.errors import AttemptFailed
from tests.server.drivers.openai.dialect import DIALECT, answer


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({"data": [{"id": "a"}, {"id": "models/b"}, {"id": 5}, 7]}, id="OpenAI's"),
        pytest.param([{"id": "a"}, {"id": "b"}], id="a bare list"),
    ],
)
def test_a_list_of_models_is_read(raw: Any) -> None:
    assert DIALECT.models(answer(raw)) == [Listed("a", frozenset()), Listed("b", frozenset())]


@pytest.mark.parametrize(
    ("told", "able", "lacks", "length"),
    [
        pytest.param(
            {
                "context_length": 131_072,
                "architecture": {"input_modalities": ["text", "image"]},
                "supported_parameters": ["tools", "reasoning"],
            },
            {"vision", "tools", "reasoning"},
            {"json_schema"},
            131_072,
            id="OpenRouter",
        ),
        pytest.param(
            {
                "max_context_length": 32_768,
                "capabilities": {"function_calling": True, "vision": False, "completion_chat": True},
            },
            {"tools"},
            {"vision"},
            32_768,
            id="Mistral",
        ),
        pytest.param(
            {"tools": True, "reasoning": False, "input_modalities": ["text", "image"]},
            {"tools", "vision"},
            {"reasoning"},
            None,
            id="Pollinations",
        ),
        pytest.param({"context_window": 8192}, (), (), 8192, id="Groq"),
        pytest.param({"max_model_len": 4096}, (), (), 4096, id="vLLM"),
        pytest.param({"meta": {"n_ctx_train": 2048}}, (), (), 2048, id="llama.cpp"),
        pytest.param(
            {"context_length": 262_144, "supports_image_in": True, "supports_reasoning": False},
            {"vision"},
            {"reasoning"},
            262_144,
            id="Moonshot",
        ),
        pytest.param(
            {
                "context_length": True,
                "context_window": "8k",
                "meta": 7,
                "capabilities": ["vision"],
                "supports_tools": "yes",
                "supported_parameters": {"tools": 1},
                "architecture": {"input_modalities": []},
            },
            (),
            (),
            None,
            id="nonsense",
        ),
    ],
)
def test_what_a_vendor_tells_of_a_model_is_read(
    told: dict[str, Any], able: Any, lacks: Any, length: int | None
) -> None:
    [model] = DIALECT.models(answer({"data": [{"id": "m", **told}]}))
    assert model == Listed("m", frozenset(able), frozenset(lacks), length)


@pytest.mark.parametrize("raw", [{"data": {}}, {}, 7, None, "a"])
def test_what_is_no_list_of_models_is_a_broken_answer(raw: Any) -> None:
    with pytest.raises(AttemptFailed) as raised:
        DIALECT.models(answer(raw))
    assert raised.value.cause == "broken_answer"
