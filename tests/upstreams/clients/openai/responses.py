"""OpenAI's Python SDK: the Responses API."""

from collections.abc import Iterator
from typing import Any, Literal

from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel


class GetWeather(BaseModel):
    unit: str
    exact: bool


class Review(BaseModel):
    zeal: Literal["low", "high"]
    kind: Literal["review"]
    age: Literal[7]


def _client(base_url: str, key: str) -> OpenAI:
    return OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=30)


def chat(base_url: str, key: str, model: str, prompt: str) -> str:
    with _client(base_url, key) as client:
        return client.responses.create(model=model, input=prompt).output_text


def whole(base_url: str, key: str, request: dict[str, Any]) -> Any:
    with _client(base_url, key) as client:
        return client.responses.create(**request).to_dict(mode="json")


def stream(base_url: str, key: str, model: str, prompt: str) -> Iterator[str]:
    with (
        _client(base_url, key) as client,
        client.responses.create(model=model, input=prompt, stream=True) as events,
    ):
        for event in events:
            if event.type == "response.output_text.delta":
                yield event.delta


def events(base_url: str, key: str, request: dict[str, Any]) -> Iterator[Any]:
    with _client(base_url, key) as client, client.responses.create(**request, stream=True) as events:
        for event in events:
            yield event.to_dict(mode="json")


def together(base_url: str, key: str, request: dict[str, Any]) -> Any:
    with _client(base_url, key) as client, client.responses.stream(**request) as events:
        return events.get_final_response().to_dict(mode="json")


def tools(base_url: str, key: str, model: str, prompt: str, result: str, streamed: bool) -> dict[str, Any]:
    function = pydantic_function_tool(GetWeather, name="get_weather")["function"]
    tool: Any = {"type": "function", **function}
    items: list[Any] = [{"role": "user", "content": prompt}]
    called: list[Any] = []
    with _client(base_url, key) as client:
        while True:
            if streamed:
                with client.responses.stream(model=model, input=items, tools=[tool]) as events:
                    response = events.get_final_response()
            else:
                response = client.responses.parse(model=model, input=items, tools=[tool])
            items += response.output
            calls = [item for item in response.output if item.type == "function_call"]
            if not calls:
                return {"called": called, "text": response.output_text}
            for call in calls:
                called.append(GetWeather.model_validate_json(call.arguments).model_dump())
                items.append({"type": "function_call_output", "call_id": call.call_id, "output": result})


def structured(base_url: str, key: str, model: str, prompt: str) -> Any:
    with _client(base_url, key) as client:
        response = client.responses.parse(model=model, input=prompt, text_format=Review)
    assert response.output_parsed
    return response.output_parsed.model_dump()
