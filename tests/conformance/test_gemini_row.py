"""The shipped row of Gemini, asked through the real service; only its address is that of a stage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import requests

from server import drivers
from server.config import Settings, load_catalog
from tests.calls import TIMEOUT
from tests.conformance.features import HI, PNG, PNG_BASE64, tool
from tests.conformance.gemini_speaker import JSON, GeminiSpeaker, candidate, stream, usage, whole
from tests.conformance.said import Said, Spoken
from tests.conformance.stage import Own, Seen, Stage, staged
from tests.conftest import CALM
from tests.service import Service, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTED = {
    "models": [
        {
            "name": "models/gemini-9-flash",
            "inputTokenLimit": 1_000_000,
            "supportedGenerationMethods": ["generateContent"],
            "thinking": True,
        },
        {"name": "models/gemini-embedding-9", "supportedGenerationMethods": ["embedContent"]},
        {"name": "models/veo-9", "supportedGenerationMethods": ["predictLongRunning"]},
    ]
}
CALL = {"functionCall": {"name": "weather", "args": {"city": "Paris"}}, "thoughtSignature": "c2ln"}


def embedded(seen: Seen) -> Spoken | None:
    """Embeddings, where they are asked for."""
    if ":batchEmbedContents" not in seen.path:
        return None
    vectors = [{"values": [0.5, 0.25]} for _ in seen.body["requests"]]
    return Spoken(JSON, [json.dumps({"embeddings": vectors}).encode()])


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged(GeminiSpeaker(), refuses=embedded) as running:
        running.lists(Spoken(JSON, [json.dumps(LISTED).encode()]))
        yield running


@pytest.fixture(scope="module")
def service(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    shipped = {row.id: row for row in load_catalog(Settings(), drivers.KINDS).providers}["Gemini"]
    row = {**msgspec.to_builtins(shipped), "base_url": f"{stage.url}/v1beta", **CALM}
    with serving(tmp_path_factory.mktemp("gemini"), [row], {"GEMINI_API_KEY": "k"}, workers=1) as running:
        yield running


def post(service: Service, path: str, **body: Any) -> Any:
    answer = requests.post(f"{service.base_url}/{path}", json=body, timeout=TIMEOUT)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_its_models_are_listed_with_what_they_can_do(service: Service) -> None:
    listed = requests.get(f"{service.base_url}/models", timeout=TIMEOUT).json()["data"]
    names = {model["id"] for model in listed}
    assert names >= {"gemini-9-flash", "gemini-embedding-9"}
    assert "veo-9" not in names


def test_a_signature_comes_and_goes_with_its_call(service: Service, stage: Stage) -> None:
    ended = [candidate([CALL], "STOP")]
    stage.says(Own(whole(ended, usage(Said())), stream(ended, usage(Said()))))
    asked: Any = {"model": "Gemini/gemini-9-flash", "tools": [tool()]}
    message = post(service, "chat/completions", messages=HI, **asked)["choices"][0]["message"]
    call_id = message["tool_calls"][0]["id"]
    told = {"role": "tool", "tool_call_id": call_id, "content": "rain"}
    post(service, "chat/completions", messages=[*HI, message, told], **asked)
    _, given, answered = stage.last().body["contents"]
    function = {"id": call_id, **CALL["functionCall"]}  # type: ignore[dict-item]  # which is an object
    assert given == {"role": "model", "parts": [{**CALL, "functionCall": function}]}
    assert answered["parts"][0]["functionResponse"]["id"] == call_id
    assert stage.last().body["generationConfig"] == {"thinkingConfig": {"includeThoughts": True}}


def streamed(service: Service, stage: Stage, *candidates: Any) -> list[Any]:
    """What a caller gets of a stream of these candidates."""
    stage.says(Own(whole(list(candidates), usage(Said())), stream(list(candidates), usage(Said()))))
    asked: Any = {"model": "Gemini/gemini-9-flash", "messages": HI, "stream": True}
    url = f"{service.base_url}/chat/completions"
    with requests.post(url, json=asked, stream=True, timeout=TIMEOUT) as answer:
        assert answer.status_code == 200, answer.text
        data = [line.removeprefix(b"data: ") for line in answer.iter_lines() if line.startswith(b"data: ")]
    return [json.loads(event) for event in data if event != b"[DONE]"]


def test_a_stream_whose_every_piece_says_stop_arrives_whole(service: Service, stage: Stage) -> None:
    chunks = streamed(service, stage, *(candidate([{"text": text}], "STOP") for text in ("a", "b", "c")))
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "abc"
    assert [choice.get("finish_reason") for choice in choices] == [None, None, None, "stop"]


def test_a_stream_that_breaks_off_without_an_end_is_told_of(service: Service, stage: Stage) -> None:
    *_, last = streamed(service, stage, *(candidate([{"text": text}]) for text in ("a", "b")))
    assert [attempt["cause"] for attempt in last["attempts"]] == ["connection_lost"]


def test_images_are_drawn(service: Service, stage: Stage) -> None:
    stage.says(Said(pictures=(PNG,)))
    made = post(
        service,
        "images/generations",
        provider="Gemini",
        prompt="A cat",
        n=2,
        size="1024x1536",
        response_format="b64_json",
    )
    assert [image["b64_json"] for image in made["data"]] == [PNG_BASE64] * 2
    assert stage.last().path == "/v1beta/models/gemini-2.5-flash-image:generateContent"
    assert stage.last().body["generationConfig"]["imageConfig"] == {"aspectRatio": "2:3"}


def test_texts_are_embedded(service: Service, stage: Stage) -> None:
    stage.says(Said())
    made = post(service, "embeddings", model="Gemini/gemini-embedding-9", input=["a", "b"], dimensions=2)
    assert [item["embedding"] for item in made["data"]] == [[0.5, 0.25]] * 2
    assert stage.last().body["requests"][1]["outputDimensionality"] == 2
