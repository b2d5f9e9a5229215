"""Requests that Gemini takes in pieces only, sent to a server."""

import json
from typing import Any

import pytest

from server.drivers import KINDS
from server.drivers.gemini.driver import GeminiDriver
from server.errors import AttemptFailed
from server.transport import connect
from tests.conformance.features import PNG, PNG_BASE64
from tests.conformance.gemini_speaker import GeminiSpeaker
from tests.conformance.said import Said, Spoken
from tests.conformance.stage import Seen, Stage, staged
from tests.server.drivers.gemini.dialect import target
from tests.server.drivers.gemini.test_media import draw, embed


async def ask(stage: Stage, request: Any) -> Any:
    async with connect(1_000_000) as transport:
        driver = KINDS["gemini"].make(transport)
        assert isinstance(driver, GeminiDriver)
        return await driver.answer(request, target(base_url=stage.url))


def embedded(seen: Seen) -> Spoken:
    """A vector for each input, which is its number; each input costs a token."""
    texts = [request["content"]["parts"][0]["text"] for request in seen.body["requests"]]
    told = {
        "embeddings": [{"values": [float(text)]} for text in texts],
        "usageMetadata": {"promptTokenCount": len(texts)},
    }
    return Spoken("application/json", [json.dumps(told).encode()])


async def test_images_are_asked_for_one_by_one() -> None:
    with staged(GeminiSpeaker()) as stage:
        stage.says(Said(pictures=(PNG,)))
        made = await ask(stage, draw(n=3, seed=5))
        assert [image.b64_json for image in made.data] == [PNG_BASE64] * 3
        assert (made.usage.input_tokens, made.usage.total_tokens) == (33, 54)
        configs = [seen.body["generationConfig"] for seen in stage.seen]
        assert sorted(config["seed"] for config in configs) == [5, 6, 7]


async def test_where_one_image_fails_the_answer_does() -> None:
    with staged(GeminiSpeaker()) as stage:
        stage.fails("RESOURCE_EXHAUSTED")
        with pytest.raises(AttemptFailed) as caught:
            await ask(stage, draw(n=10))
        assert (caught.value.cause, caught.value.retry_after) == ("rate_limited", 7)


@pytest.mark.parametrize(("inputs", "batches"), [(1, [1]), (100, [100]), (250, [50, 100, 100])])
async def test_inputs_are_embedded_in_batches(inputs: int, batches: list[int]) -> None:
    with staged(GeminiSpeaker(), refuses=embedded) as stage:
        stage.says(Said())
        made = await ask(stage, embed(*map(str, range(inputs))))
        assert [item.embedding[0] for item in made.data] == list(range(inputs))
        assert [item.index for item in made.data] == list(range(inputs))
        assert made.usage.prompt_tokens == inputs
        assert sorted(len(seen.body["requests"]) for seen in stage.seen) == batches
