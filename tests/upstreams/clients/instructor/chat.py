"""instructor on OpenAI's Python SDK: typed answers by JSON Schema and by tool call."""
# mypy: disable-error-code="import-not-found"

from collections.abc import Iterator
from typing import Any, Literal

import instructor
from openai import OpenAI
from pydantic import BaseModel


class Review(BaseModel):
    zeal: Literal["low", "high"]
    kind: Literal["review"]
    age: Literal[7]


class GetWeather(BaseModel):
    """The weather."""

    unit: str
    exact: bool


GetWeather.__name__ = "get_weather"  # what the model calls


def _client(base_url: str, key: str, mode: Any = instructor.Mode.JSON_SCHEMA) -> Any:
    client = OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=30)
    return instructor.from_openai(client, mode=mode)


def _asked(model: str, prompt: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "max_retries": 0}


def chat(base_url: str, key: str, model: str, prompt: str) -> str:
    completion = _client(base_url, key).create(response_model=None, **_asked(model, prompt))
    return str(completion.choices[0].message.content)


def structured(base_url: str, key: str, model: str, prompt: str) -> Any:
    return _client(base_url, key).create(response_model=Review, **_asked(model, prompt)).model_dump()


def partial(base_url: str, key: str, model: str, prompt: str) -> Iterator[Any]:
    for part in _client(base_url, key).create_partial(response_model=Review, **_asked(model, prompt)):
        yield part.model_dump(exclude_none=True)


def tool(base_url: str, key: str, model: str, prompt: str) -> Any:
    client = _client(base_url, key, instructor.Mode.TOOLS)
    return client.create(response_model=GetWeather, **_asked(model, prompt)).model_dump()
