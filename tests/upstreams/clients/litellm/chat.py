"""LiteLLM's Python SDK as a client of an OpenAI-compatible server."""
# mypy: disable-error-code="import-not-found"

import json
import os
from collections.abc import Iterator
from typing import Any, Literal

# Its import asks the internet for prices otherwise: https://docs.litellm.ai/docs/completion/token_usage
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from pydantic import BaseModel

litellm.telemetry = False

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"unit": {"type": "string"}, "exact": {"type": "boolean"}},
            "required": ["unit", "exact"],
        },
    },
}


class Review(BaseModel):
    zeal: Literal["low", "high"]
    kind: Literal["review"]
    age: Literal[7]


def _complete(base_url: str, key: str, model: str, messages: list[Any], **more: Any) -> Any:
    at = {"model": f"openai/{model}", "api_base": base_url, "api_key": key}
    return litellm.completion(**at, messages=messages, max_retries=0, timeout=30, **more)


def chat(base_url: str, key: str, model: str, prompt: str) -> str:
    completion = _complete(base_url, key, model, [{"role": "user", "content": prompt}])
    return str(completion.choices[0].message.content)


def stream(base_url: str, key: str, model: str, prompt: str) -> Iterator[str]:
    chunks = _complete(base_url, key, model, [{"role": "user", "content": prompt}], stream=True)
    for chunk in chunks:
        yield chunk.choices[0].delta.content or ""


def tools(base_url: str, key: str, model: str, prompt: str, result: str, streamed: bool) -> dict[str, Any]:
    messages: list[Any] = [{"role": "user", "content": prompt}]
    called: list[Any] = []
    while True:
        answer = _complete(base_url, key, model, messages, tools=[WEATHER], stream=streamed)
        if streamed:
            answer = litellm.stream_chunk_builder(list(answer), messages=messages)
        message = answer.choices[0].message
        if not message.tool_calls:
            return {"called": called, "text": message.content}
        messages.append(message)
        for call in message.tool_calls:
            called.append(json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


def structured(base_url: str, key: str, model: str, prompt: str) -> Any:
    asked = [{"role": "user", "content": prompt}]
    completion = _complete(base_url, key, model, asked, response_format=Review)
    return Review.model_validate_json(completion.choices[0].message.content).model_dump()
