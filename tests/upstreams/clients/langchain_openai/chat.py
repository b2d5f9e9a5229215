"""LangChain with `ChatOpenAI`: over chat completions, and over the Responses API."""
# mypy: disable-error-code="import-not-found, untyped-decorator"

from collections.abc import Iterator
from typing import Any, Literal

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Review(BaseModel):
    zeal: Literal["low", "high"]
    kind: Literal["review"]
    age: Literal[7]


def _model(base_url: str, key: str, model: str) -> Any:
    return ChatOpenAI(base_url=base_url, api_key=key, model=model, max_retries=0, timeout=30)


def chat(base_url: str, key: str, model: str, prompt: str) -> str:
    return str(_model(base_url, key, model).invoke(prompt).text)


def stream(base_url: str, key: str, model: str, prompt: str) -> Iterator[str]:
    for chunk in _model(base_url, key, model).stream(prompt):
        yield chunk.text


def tools(base_url: str, key: str, model: str, prompt: str, result: str, streamed: bool) -> dict[str, Any]:
    called: list[Any] = []

    @tool
    def get_weather(unit: str, exact: bool) -> str:
        """The weather."""
        called.append({"unit": unit, "exact": exact})
        return result

    llm = _model(base_url, key, model).bind_tools([get_weather])
    messages: list[Any] = [HumanMessage(prompt)]
    while True:
        if streamed:
            first, *rest = llm.stream(messages)
            answer = sum(rest, start=first)
        else:
            answer = llm.invoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            return {"called": called, "text": answer.text}
        messages += [get_weather.invoke(call) for call in answer.tool_calls]


def structured(base_url: str, key: str, model: str, prompt: str) -> Any:
    return _model(base_url, key, model).with_structured_output(Review).invoke(prompt).model_dump()
