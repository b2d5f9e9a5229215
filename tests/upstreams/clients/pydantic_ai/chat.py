"""Pydantic AI with `OpenAIChatModel`."""
# mypy: disable-error-code="import-not-found, untyped-decorator"

from collections.abc import AsyncIterator
from typing import Any, Literal

from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class Review(BaseModel):
    zeal: Literal["low", "high"]
    kind: Literal["review"]
    age: Literal[7]


def _agent(base_url: str, key: str, model: str, **more: Any) -> Any:
    client = AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=30)
    return Agent(OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client)), **more)


async def chat(base_url: str, key: str, model: str, prompt: str) -> str:
    return str((await _agent(base_url, key, model).run(prompt)).output)


async def stream(base_url: str, key: str, model: str, prompt: str) -> AsyncIterator[str]:
    async with _agent(base_url, key, model).run_stream(prompt) as run:
        async for piece in run.stream_text(delta=True, debounce_by=None):
            yield piece


async def tools(
    base_url: str, key: str, model: str, prompt: str, result: str, streamed: bool
) -> dict[str, Any]:
    called: list[Any] = []

    def get_weather(unit: str, exact: bool) -> str:
        """The weather."""
        called.append({"unit": unit, "exact": exact})
        return result

    agent = _agent(base_url, key, model, tools=[get_weather])
    if streamed:
        async with agent.run_stream(prompt) as run:
            return {"called": called, "text": await run.get_output()}
    return {"called": called, "text": (await agent.run(prompt)).output}


async def structured(base_url: str, key: str, model: str, prompt: str) -> Any:
    agent = _agent(base_url, key, model, output_type=NativeOutput(Review))
    return (await agent.run(prompt)).output.model_dump()
