"""Lists of models, and what vendors tell of a model in them beyond its name: each in members of its own.

https://platform.openai.com/docs/api-reference/models/list
"""

from collections.abc import Iterator
from typing import Any, Final

from server.drivers import answers
from server.drivers.base import Listed
from server.errors import AttemptFailed

# Where a context length stands, in tokens: of OpenRouter, Together, Moonshot, Fireworks and Cohere; Groq;
# vLLM; Mistral; llama.cpp's server (as it was started, and as the model was trained); DeepInfra.
_LENGTHS: Final = (
    ("context_length",),
    ("context_window",),
    ("max_model_len",),
    ("max_context_length",),
    ("meta", "n_ctx"),
    ("meta", "n_ctx_train"),
    ("metadata", "context_length"),
)
# Flags that say yes or no: of Mistral, Fireworks, Moonshot.
_FLAGS: Final = (
    (("capabilities", "function_calling"), "tools"),
    (("capabilities", "vision"), "vision"),
    (("supports_tools",), "tools"),
    (("supports_image_input",), "vision"),
    (("supports_image_in",), "vision"),
    (("supports_reasoning",), "reasoning"),
    (("tools",), "tools"),  # Pollinations', as the next
    (("reasoning",), "reasoning"),
)
# Lists that hold all that there is: of OpenRouter (https://openrouter.ai/docs/api-reference/list-available-models),
# the second also of Hugging Face's router.
_LISTS: Final = (
    (
        ("supported_parameters",),
        {"tools": "tools", "structured_outputs": "json_schema", "reasoning": "reasoning"},
    ),
    (("architecture", "input_modalities"), {"image": "vision"}),
    (("input_modalities",), {"image": "vision"}),  # Pollinations
)


def read(body: bytes) -> list[Listed]:
    """`{"data": [{"id": ...}]}`, or a bare list, as at some. Raises `AttemptFailed` for what is none."""
    decoded = answers.decode(body)
    listed = decoded.get("data") if isinstance(decoded, dict) else decoded
    if not isinstance(listed, list):
        raise AttemptFailed(answers.BROKEN, "answered with no list of models")
    return [model for item in listed if isinstance(item, dict) and (model := _model(item)) is not None]


def _model(item: dict[str, Any]) -> Listed | None:
    name = item.get("id")
    if not isinstance(name, str) or not name:
        return None
    told = dict(_told(item))
    return Listed(
        name.removeprefix("models/"),  # Gemini lists `models/gemini-...` and takes both
        capabilities=frozenset(word for word, has in told.items() if has),
        lacks=frozenset(word for word, has in told.items() if not has),
        context_length=next(_lengths(item), None),
    )


def _told(item: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    for path, word in _FLAGS:
        if isinstance(flag := _at(item, path), bool):
            yield word, flag
    for path, words in _LISTS:
        if isinstance(listed := _at(item, path), list) and listed:
            yield from ((word, name in listed) for name, word in words.items())


def _lengths(item: dict[str, Any]) -> Iterator[int]:
    for path in _LENGTHS:
        length = _at(item, path)
        if isinstance(length, int) and not isinstance(length, bool) and length > 0:
            yield length


def _at(item: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    return item
