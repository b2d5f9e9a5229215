"""OpenAI's Python SDK: chat completions."""

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
        completion = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": prompt}]
        )
    return completion.choices[0].message.content or ""


def stream(base_url: str, key: str, model: str, prompt: str) -> Iterator[str]:
    with (
        _client(base_url, key) as client,
        client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": prompt}], stream=True
        ) as chunks,
    ):
        for chunk in chunks:
            for choice in chunk.choices:
                yield choice.delta.content or ""


def tools(base_url: str, key: str, model: str, prompt: str, result: str, streamed: bool) -> dict[str, Any]:
    tool = pydantic_function_tool(GetWeather, name="get_weather", description="The weather")
    messages: list[Any] = [{"role": "user", "content": prompt}]
    called: list[Any] = []
    with _client(base_url, key) as client:
        while True:
            if streamed:
                with client.chat.completions.stream(model=model, messages=messages, tools=[tool]) as events:
                    completion = events.get_final_completion()
            else:
                completion = client.chat.completions.parse(model=model, messages=messages, tools=[tool])
            message = completion.choices[0].message
            if not message.tool_calls:
                return {"called": called, "text": message.content}
            messages.append(message.to_dict())
            for call in message.tool_calls:
                assert isinstance(call.function.parsed_arguments, GetWeather)
                called.append(call.function.parsed_arguments.model_dump())
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


def structured(base_url: str, key: str, model: str, prompt: str) -> Any:
    with _client(base_url, key) as client:
        completion = client.chat.completions.parse(
            model=model, messages=[{"role": "user", "content": prompt}], response_format=Review
        )
    assert completion.choices[0].message.parsed
    return completion.choices[0].message.parsed.model_dump()
