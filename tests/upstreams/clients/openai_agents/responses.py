"""OpenAI's Agents SDK as it comes: over the Responses API."""
# mypy: disable-error-code="import-not-found, untyped-decorator"

from collections.abc import AsyncIterator
from typing import Any, Literal

from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
from pydantic import BaseModel

set_tracing_disabled(disabled=True)


class Review(BaseModel):
    zeal: Literal["low", "high"]
    kind: Literal["review"]
    age: Literal[7]


def _agent(base_url: str, key: str, model: str, **more: Any) -> Any:
    client = AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=30)
    return Agent(name="Clerk", model=OpenAIResponsesModel(model=model, openai_client=client), **more)


async def chat(base_url: str, key: str, model: str, prompt: str) -> str:
    return str((await Runner.run(_agent(base_url, key, model), prompt)).final_output)


async def stream(base_url: str, key: str, model: str, prompt: str) -> AsyncIterator[str]:
    run = Runner.run_streamed(_agent(base_url, key, model), prompt)
    async for event in run.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            yield event.data.delta


async def tools(
    base_url: str, key: str, model: str, prompt: str, result: str, streamed: bool
) -> dict[str, Any]:
    called: list[Any] = []

    @function_tool
    def get_weather(unit: str, exact: bool) -> str:
        """The weather."""
        called.append({"unit": unit, "exact": exact})
        return result

    agent = _agent(base_url, key, model, tools=[get_weather])
    if streamed:
        run = Runner.run_streamed(agent, prompt)
        assert [event async for event in run.stream_events()]
        return {"called": called, "text": run.final_output}
    return {"called": called, "text": (await Runner.run(agent, prompt)).final_output}


async def structured(base_url: str, key: str, model: str, prompt: str) -> Any:
    agent = _agent(base_url, key, model, output_type=Review)
    return (await Runner.run(agent, prompt)).final_output.model_dump()
