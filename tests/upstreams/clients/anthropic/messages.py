"""Anthropic's Python SDK: messages."""
# mypy: disable-error-code="import-not-found, untyped-decorator"

from collections.abc import Iterator
from typing import Any, Literal

from anthropic import Anthropic
from pydantic import BaseModel

WEATHER = {
    "name": "get_weather",
    "description": "The weather",
    "input_schema": {
        "type": "object",
        "properties": {"unit": {"type": "string"}, "exact": {"type": "boolean"}},
        "required": ["unit", "exact"],
    },
}


class Review(BaseModel):
    zeal: Literal["low", "high"]
    kind: Literal["review"]
    age: Literal[7]


def _client(base_url: str, key: str) -> Any:
    return Anthropic(base_url=base_url, api_key=key, max_retries=0, timeout=30)


def _asked(prompt: str) -> dict[str, Any]:
    return {"max_tokens": 100, "messages": [{"role": "user", "content": prompt}]}


def chat(base_url: str, key: str, model: str, prompt: str) -> str:
    with _client(base_url, key) as client:
        message = client.messages.create(model=model, **_asked(prompt))
    return _text(message)


def whole(base_url: str, key: str, request: dict[str, Any]) -> Any:
    with _client(base_url, key) as client:
        return client.messages.create(**request).to_dict(mode="json")


def stream(base_url: str, key: str, model: str, prompt: str) -> Iterator[str]:
    with (
        _client(base_url, key) as client,
        client.messages.stream(model=model, **_asked(prompt)) as message,
    ):
        yield from message.text_stream


def events(base_url: str, key: str, request: dict[str, Any]) -> Iterator[Any]:
    with _client(base_url, key) as client, client.messages.create(**request, stream=True) as events:
        for event in events:
            yield event.to_dict(mode="json")


def together(base_url: str, key: str, request: dict[str, Any]) -> Any:
    with _client(base_url, key) as client, client.messages.stream(**request) as message:
        return message.get_final_message().to_dict(mode="json")


def tools(base_url: str, key: str, model: str, prompt: str, result: str, streamed: bool) -> dict[str, Any]:
    asked = _asked(prompt)
    called: list[Any] = []
    with _client(base_url, key) as client:
        while True:
            if streamed:
                with client.messages.stream(model=model, **asked, tools=[WEATHER]) as events:
                    message = events.get_final_message()
            else:
                message = client.messages.create(model=model, **asked, tools=[WEATHER])
            if message.stop_reason != "tool_use":
                return {"called": called, "text": _text(message)}
            uses = [block for block in message.content if block.type == "tool_use"]
            called += [use.input for use in uses]
            results = [{"type": "tool_result", "tool_use_id": use.id, "content": result} for use in uses]
            asked["messages"] += [
                {"role": "assistant", "content": message.content},
                {"role": "user", "content": results},
            ]


def structured(base_url: str, key: str, model: str, prompt: str) -> Any:
    with _client(base_url, key) as client:
        message = client.messages.parse(model=model, **_asked(prompt), output_format=Review)
    return message.parsed_output.model_dump()


def _text(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")
