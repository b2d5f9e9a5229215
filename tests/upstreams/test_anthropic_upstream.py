"""A real server that speaks Anthropic's dialect, behind the service: llama-server at `/v1/messages`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.calls import Outcome, over_grpc, rest
from tests.conftest import CALM
from tests.openai_api import shapes
from tests.service import Service, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.upstreams.llama import Llama

WAYS = ["rest", "rest stream", "grpc", "grpc stream"]
WEATHER = {
    "type": "object",
    "properties": {"unit": {"type": "string"}, "exact": {"type": "boolean"}},
    "required": ["unit"],
}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}


@pytest.fixture(scope="module")
def service(llama: Llama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the server behind it, once with its key and once with a wrong one."""
    row: dict[str, Any] = {"driver": "anthropic", "base_url": llama.base_url, **CALM}
    rows = [
        row | {"id": "Wired", "key_env": "LLAMA_KEY", "discover": True},
        row | {"id": "LockedOut", "key_env": "WRONG_KEY", "models": ["locked"]},
    ]
    keys = {"LLAMA_KEY": llama.key, "WRONG_KEY": "wrong"}
    with serving(tmp_path_factory.mktemp("anthropic"), rows, keys) as running:
        yield running


def ask(service: Service, way: str, provider: str = "Wired", **members: Any) -> Outcome:
    """Asks one of the four ways, with the usage."""
    stream = way.endswith("stream")
    asked = {"model": "wired", **members} | ({"stream_options": {"include_usage": True}} if stream else {})
    if way.startswith("grpc"):
        return over_grpc(service, provider, stream=stream, **shapes.fields(asked))
    return rest(service, {"provider": provider, **asked} | ({"stream": True} if stream else {}))


def said(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text} for text in texts]


def choices(outcome: Outcome) -> list[dict[str, Any]]:
    return [choice for chunk in outcome.chunks for choice in chunk.get("choices", ())]


def finish(outcome: Outcome) -> list[str]:
    return [choice["finish_reason"] for choice in choices(outcome) if choice.get("finish_reason")]


def usage(outcome: Outcome) -> tuple[int, int, int]:
    (told,) = [chunk["usage"] for chunk in outcome.chunks if "usage" in chunk]
    return told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("prompt", "members", "text", "reason"),
    [
        pytest.param("Hi", {}, "Hello from a tiny model.", "stop", id="text"),
        pytest.param("#count", {"max_tokens": 3}, "one, two", "length", id="a limit"),
        pytest.param("#count", {"stop": [" four"]}, "one, two three", "stop", id="a stop"),
        pytest.param(
            "#json",
            {"temperature": 0},
            '{"sentiment": "positive", "ok": true, "kind": "review"}',
            "stop",
            id="JSON",
        ),
    ],
)
def test_what_the_model_says_comes_back(
    service: Service, way: str, prompt: str, members: dict[str, Any], text: str, reason: str
) -> None:
    outcome = ask(service, way, messages=said(prompt), **members)
    assert (outcome.text, outcome.provider, finish(outcome)) == (text, "Wired", [reason])
    prompt_tokens, completion_tokens, total = usage(outcome)
    assert prompt_tokens > 0
    assert completion_tokens > 0
    assert total == prompt_tokens + completion_tokens


def test_the_usage_is_the_same_each_way(service: Service) -> None:
    assert len({usage(ask(service, way, messages=said("#weather"))) for way in WAYS}) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_is_called_and_its_result_is_read(service: Service, way: str) -> None:
    asked = said("#lookup")
    outcome = ask(service, way, messages=asked, tools=[TOOL])
    assert finish(outcome) == ["tool_calls"]
    pieces = [
        call
        for choice in choices(outcome)
        for call in (choice.get("message") or choice["delta"]).get("tool_calls", ())
    ]
    call_id = pieces[0]["id"]
    arguments = "".join(piece["function"].get("arguments", "") for piece in pieces)
    assert (pieces[0]["function"]["name"], json.loads(arguments)) == (
        "get_weather",
        {"unit": "c", "exact": True},
    )
    called = {
        "id": call_id,
        "type": "function",
        "function": {"name": "get_weather", "arguments": arguments},
    }
    told = [
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": call_id, "content": "#weather"},
    ]
    answered = ask(service, way, messages=[*asked, *told], tools=[TOOL])
    assert (answered.text, finish(answered)) == ("It is sunny in Lisbon today!", ["stop"])


@pytest.mark.parametrize("way", WAYS)
def test_a_conversation_with_instructions_is_read(service: Service, way: str) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        *said("Hi"),
        {"role": "assistant", "content": "Hello."},
        {"role": "developer", "content": "Count."},
        *said("And now", "#count"),
    ]
    assert ask(service, way, messages=messages).text == "one, two three four five done"


def test_its_models_are_found(service: Service) -> None:
    listed = requests.get(f"{service.base_url}/models", timeout=30).json()["data"]
    assert "wired" in {model["id"] for model in listed}


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_key_is_told(service: Service, way: str) -> None:
    outcome = ask(service, way, "LockedOut", model="locked", messages=said("Hi"))
    assert [attempt["cause"] for attempt in outcome.error["attempts"]] == ["key_refused"]


def test_anthropics_dialect_goes_all_the_way(service: Service) -> None:
    body: Any = {"model": "wired", "provider": "Wired", "max_tokens": 50, "messages": said("Hi")}
    answer = requests.post(f"{service.base_url}/messages", json=body, timeout=30).json()
    assert answer["content"] == [{"type": "text", "text": "Hello from a tiny model."}]
    assert answer["stop_reason"] == "end_turn"
