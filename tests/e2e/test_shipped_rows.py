"""Rows of the shipped catalog, asked through the real service: what each vendor is sent, in its own way.

Only the address is another: that of a stage.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import requests

from server import drivers
from server.config import Settings, load_catalog
from tests.calls import TIMEOUT, rest
from tests.conformance.features import CALLS, HI, PNG, PNG_BASE64, WEATHER_SCHEMA, tool, user
from tests.conformance.openai_speaker import JSON, OpenAISpeaker
from tests.conformance.said import Said, Spoken
from tests.conformance.stage import Own, Seen, Stage, staged
from tests.conftest import CALM
from tests.service import Service, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = {"AZURE_OPENAI_API_KEY": "azure-key", "POLLINATIONS_API_KEY": "pollinations-key"}
LISTED = ["qwen3-vl:8b", "nomic-embed-text", "x/z-image-turbo", "gpt-6"]
IMAGE = Spoken(JSON, [json.dumps({"created": 5, "data": [{"b64_json": PNG_BASE64}]}).encode()])
PICTURE = user([{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG_BASE64}"}}])
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": WEATHER_SCHEMA}}


def shipped(provider: str, base_url: str) -> dict[str, Any]:
    """A row of the shipped catalog, for another address."""
    rows = {row.id: row for row in load_catalog(Settings(), drivers.KINDS).providers}
    row: dict[str, Any] = msgspec.to_builtins(rows[provider])
    return {**row, "base_url": base_url, **CALM}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged(OpenAISpeaker()) as running:
        running.lists(Spoken(JSON, [json.dumps({"data": [{"id": name} for name in LISTED]}).encode()]))
        yield running


@pytest.fixture(scope="module")
def vendors(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    rows = [shipped(provider, f"{stage.url}/v1") for provider in ("Ollama", "Pollinations")]
    variables = {**KEYS, "AZURE_OPENAI_ENDPOINT": stage.url}  # its row is used as it is
    with serving(tmp_path_factory.mktemp("vendors"), rows, variables, workers=1) as running:
        yield running


def ask(vendors: Service, stage: Stage, provider: str, model: str, said: Said, **more: Any) -> Seen:
    """Asks a provider; gives what the vendor was asked."""
    stage.says(said)
    outcome = rest(vendors, {"model": model, "provider": provider, "messages": HI, **more})
    assert (outcome.code, outcome.provider, outcome.error) == (200, provider, {})
    assert outcome.text == said.text
    return stage.last()


def draw(vendors: Service, stage: Stage, provider: str, **request: Any) -> tuple[Seen, Any]:
    """Asks for an image; gives what the vendor was asked, and the answer."""
    stage.says(Own(IMAGE, IMAGE))
    answer = requests.post(
        f"{vendors.base_url}/images/generations",
        json={"provider": provider, "prompt": "dusk", **request},
        timeout=TIMEOUT,
    )
    assert answer.status_code == 200, answer.text
    return stage.last(), answer.json()


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_azure_is_asked_by_deployment_at_its_own_path_with_its_own_header(
    vendors: Service, stage: Stage, stream: bool
) -> None:
    seen = ask(vendors, stage, "AzureOpenAI", "our-deployment", Said("Hello"), stream=stream, seed=7)
    assert seen.path == "/openai/v1/chat/completions"
    assert seen.headers["api-key"] == KEYS["AZURE_OPENAI_API_KEY"]
    assert "authorization" not in seen.headers
    assert (seen.body["model"], seen.body["seed"]) == ("our-deployment", 7)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_ollama_takes_tools_images_schemas_and_an_effort(
    vendors: Service, stage: Stage, stream: bool
) -> None:
    messages = [{"role": "developer", "content": "Be brief."}, PICTURE]
    more = {"messages": messages, "response_format": SCHEMA, "reasoning_effort": "minimal"}
    seen = ask(
        vendors, stage, "Ollama", "qwen3-vl:8b", CALLS, stream=stream, tools=[tool()], max_tokens=5, **more
    )
    assert seen.path == "/v1/chat/completions"
    assert "authorization" not in seen.headers
    assert [message["role"] for message in seen.body["messages"]] == ["system", "user"]
    assert seen.body["messages"][1]["content"][0]["image_url"]["url"].endswith(PNG_BASE64)
    assert seen.body["response_format"]["json_schema"]["schema"] == WEATHER_SCHEMA
    assert (seen.body["reasoning_effort"], seen.body["max_tokens"]) == ("low", 5)
    assert seen.body["tools"][0]["function"]["name"] == "weather"


def test_ollama_draws(vendors: Service, stage: Stage) -> None:
    seen, made = draw(vendors, stage, "Ollama", model="x/z-image-turbo", size="64x64")
    assert seen.path == "/v1/images/generations"
    assert seen.body == {"model": "x/z-image-turbo", "prompt": "dusk", "size": "64x64"}
    assert requests.get(made["data"][0]["url"], timeout=TIMEOUT).content == PNG


def test_ollama_is_not_asked_for_what_it_would_pass_over(vendors: Service, stage: Stage) -> None:
    before = len(stage.seen)
    asked = {"model": "qwen3-vl:8b", "provider": "Ollama", "messages": HI}
    outcome = rest(vendors, {**asked, "tools": [tool()], "tool_choice": "required"})
    assert (outcome.code, outcome.error["error"]["param"]) == (400, "tool_choice")
    assert len(stage.seen) == before


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_pollinations_chats(vendors: Service, stage: Stage, stream: bool) -> None:
    more = {"max_completion_tokens": 5, "n": 1, "seed": 7, "response_format": SCHEMA}
    seen = ask(vendors, stage, "Pollinations", "openai", Said("Hello"), stream=stream, **more)
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == f"Bearer {KEYS['POLLINATIONS_API_KEY']}"
    assert (seen.body["max_tokens"], seen.body["seed"]) == (5, 7)
    assert "n" not in seen.body


@pytest.mark.parametrize("form", ["url", "b64_json"])
def test_pollinations_draws(vendors: Service, stage: Stage, form: str) -> None:
    seen, made = draw(
        vendors, stage, "Pollinations", model="flux", seed=7, size="64x64", response_format=form
    )
    assert seen.path == "/v1/images/generations"
    assert (seen.body["model"], seen.body["seed"], seen.body["size"]) == ("flux", 7, "64x64")
    [item] = made["data"]
    data = (
        base64.b64decode(item[form])
        if form == "b64_json"
        else requests.get(item[form], timeout=TIMEOUT).content
    )
    assert data == PNG
